"""A midrun EBM of Fashion-MNIST, to defend its classifier, on two CPU cores.

python3 train.py configs/fashion_medconv.py --set data_download=True
"""

from configs import emoji32_medconv

config = {
    **{key: value for key, value in emoji32_medconv.config.items() if key != "data_labels"},
    "exp_name": "medconv",
    "exp_dir": "tf_out/fashion",
    "data_type": "fashion_mnist",
    "image_dims": [32, 32, 1],
    "num_training_steps": 16000,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 6000], [3e-5, 12000], [1e-5, 15000]],
    "persistent_size": 4000,
    "info_freq": 100,
    "log_freq": 2000,
    "state_freq": 1000,
    "data_flip": False,
}
