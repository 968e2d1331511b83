"""What is the density of the longrun emoji model worth? Likelihood, convergence, modes, outliers.

64 chains from data, from the shortrun model's generator and from noise, and as many annealed ones,
of the potential that `configs_lr/emoji32_conv.py` learned. Step size, temperature, `tau` and the
noise on data are those stored in the EBM's weights.

    python3 fid.py configs_fid/emoji32_density.py
"""

from configs_fid import emoji32_longrun

config = {
    **{name: value for name, value in emoji32_longrun.config.items() if name != "fid_steps"},
    "exp_name": "density",
    "exp_type": "density",
    "num_samples": 64,
    "batch_size": 64,
    "reference_samples": 243,
    "mcmc_steps": 2000,
    "segment_steps": 20,
    "ood": ["uniform", "constant", "rotated"],
}
