"""A shortrun EBM of Fashion-MNIST, on two CPU cores.

python3 train.py configs/fashion_nonconv.py --set data_download=True
"""

from configs import quickstart

config = {
    **{key: value for key, value in quickstart.config.items() if key != "data_labels"},
    "exp_name": "nonconv",
    "exp_dir": "tf_out/fashion",
    "data_type": "fashion_mnist",
    "image_dims": [32, 32, 1],
    "num_training_steps": 16000,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 10000], [3e-5, 14000]],
    "persistent_size": 4000,
    "gen_lr_info": [[5e-4, 0], [2e-4, 10000], [5e-5, 14000]],
    "info_freq": 100,
    "log_freq": 2000,
    "state_freq": 1000,
}
