"""What is the density of the longrun Fashion-MNIST model worth? As `emoji32_density.py`.

The potentials of the other regimes, for comparison: `prior_weights=None prior_temp=None` and
`ebm_weights` of midrun or shortrun.

    python3 fid.py configs_fid/fashion_density.py --set data_download=True
"""

from configs_fid import fashion_longrun

config = {
    **{name: value for name, value in fashion_longrun.config.items() if name != "fid_steps"},
    "exp_name": "density",
    "exp_type": "density",
    "num_samples": 64,
    "batch_size": 64,
    "reference_samples": 1000,
    "mcmc_steps": 5000,
    "segment_steps": 50,
}
