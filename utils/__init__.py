"""What the scripts share: each line may import those below it, never those above.

purify    the defence as a tool: python3 -m utils.purify
attack    the defence by purification, attacks on it, and what they are worth
density   what a density is worth: log Z, convergence, modes, outliers
report    the page of a run, `report.html`
scores    features, distances, references, long chains and their validity
run       run folders, the loop of training, states, records and plots
learning  optimizers and averages, losses, the networks of a training run
mcmc      Langevin chains, read first: the potential, the step, noise, banks, starts
data      from a data set, a folder or an npz to batches of images
weights   weights files of ours, published and foreign ones; images: networks' images as PNG
config    the table of keys, checks, the command line
replicas  where a run computes; devices: strategies, pieces, memory, signals; files: whole or not
errors    mistakes in one line; console; seeds: named random streams
before_tensorflow: what must be done before TensorFlow is imported, by importing it
"""
