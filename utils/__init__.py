"""What the scripts share. A line may import the lines below it, never those above.

purify    the defence as a tool: python3 -m utils.purify
attack    the defence by purification, attacks on it, and their evaluation
density   evaluation of a density: log Z, convergence, modes, outliers
report    the page of a run, `report.html`
scores    features, distances, references, long chains and their validity
run       run folders, the loop of training, states, records and plots
learning  optimizers and moving averages, losses, the networks of a training run
mcmc      Langevin chains (read this first): the potential, the step, noise, banks, starts
data      from a data set, a folder or an npz to batches of images
weights   our weights files, published and foreign ones; images: networks' images as PNG files
config    the table of keys, checks, the command line and its help
replicas  the devices of a run; devices: strategies, pieces, memory, signals; files: whole files
errors    mistakes in one line; console: safe printing; seeds: named random streams
before_tensorflow: settings that TensorFlow reads when it is imported
"""
