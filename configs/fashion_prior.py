"""The prior of longrun learning on Fashion-MNIST: a first density, on two CPU cores.

python3 train.py configs/fashion_prior.py --set data_download=True
"""

from configs import fashion_medconv

config = {
    **fashion_medconv.config,
    "exp_name": "prior",
    "num_training_steps": 8000,
    "data_epsilon": 0.06,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 5000], [3e-5, 7000]],
    "epsilon": 0.03,
    "mcmc_step_info": [[20, 0, 0.2, 0]],
    "tau": 0.15,
}
