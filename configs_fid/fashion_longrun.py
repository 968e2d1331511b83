"""Does the density of the longrun Fashion-MNIST model last? Scores at 1x and 2x.

256 chains of the model of `configs_lr/fashion_conv.py`, from the shortrun model's generator. In
training a sample had taken 10,000 Langevin steps on average.

    python3 fid.py configs_fid/fashion_longrun.py --set data_download=True
"""

from configs_fid import fashion_midrun

config = {
    **fashion_midrun.config,
    "exp_name": "longrun",
    "ebm_weights": "examples/weights/fashion_conv_ebm.weights.h5",
    "prior_weights": "examples/weights/fashion_prior_ebm.weights.h5",
    "prior_temp": 1e-3,
    "fid_steps": [0, 200, 2000, 10_000, 20_000],
}
