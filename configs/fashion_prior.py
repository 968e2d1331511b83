"""The prior of longrun learning on Fashion-MNIST: a first density.

As `emoji32_prior.py`, longer: chains of 100 steps on average, rejuvenated from data; `tau` holds
the density together. `examples/weights/fashion_prior_ebm.weights.h5` are those of seed 0 with
`device_type=gpu jit=True`: two and a half minutes on one NVIDIA H200, three other runs beside it.

    python3 train.py configs/fashion_prior.py --set data_download=True
"""

from configs import emoji32_prior, fashion_medconv

config = {
    **fashion_medconv.config,
    "exp_name": "prior",
    "num_training_steps": 4000,
    "data_epsilon": emoji32_prior.config["data_epsilon"],
    "ebm_lr_info": [[3e-4, 0], [1e-4, 2500], [3e-5, 3500]],
    "epsilon": emoji32_prior.config["epsilon"],
    "mcmc_step_info": emoji32_prior.config["mcmc_step_info"],
    "tau": emoji32_prior.config["tau"],
}
