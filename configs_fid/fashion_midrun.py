"""How long do the chains of the midrun Fashion-MNIST model hold? Scores at 1x, 10x and 100x.

256 chains of the model of `configs/fashion_medconv.py`, from the shortrun model's generator. In
training a sample had taken 200 Langevin steps on average.

    python3 fid.py configs_fid/fashion_midrun.py --set data_download=True
"""

from configs_fid import fashion_shortrun

config = {
    **fashion_shortrun.config,
    "exp_name": "midrun",
    "num_samples": 256,
    "batch_size": 64,
    "ebm_weights": "examples/weights/fashion_medconv_ebm.weights.h5",
    "mcmc_steps": 20000,
    "fid_steps": [0, 200, 2000, 20000],
    "segment_steps": 200,
}
