"""Longrun learning on Fashion-MNIST, on two CPU cores: a prior corrected.

python3 train_longrun.py configs_lr/fashion_conv.py --set prior_weights=PATH data_download=True
"""

from configs import fashion_prior
from configs_lr import emoji32_conv

config = {
    **{key: value for key, value in emoji32_conv.config.items() if key != "data_labels"},
    "exp_name": "conv",
    "exp_dir": "tf_out/fashion",
    "data_type": "fashion_mnist",
    "image_dims": [32, 32, 1],
    "num_training_steps": 8000,
    "data_epsilon": fashion_prior.config["data_epsilon"],
    "ebm_lr_info": [[3e-4, 0], [1e-4, 4000], [3e-5, 6500], [1e-5, 7500]],
    "epsilon": fashion_prior.config["epsilon"],
    "tau": fashion_prior.config["tau"],
    "persistent_size": 4000,
    "burnin_size": 2000,
    "info_freq": 100,
    "log_freq": 1000,
    "state_freq": 1000,
    "data_flip": False,
}
