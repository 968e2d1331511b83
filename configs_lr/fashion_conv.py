"""Longrun learning on Fashion-MNIST: a prior corrected.

As `emoji32_conv.py`, longer: negative samples have taken 200 Langevin steps on average, the first
100 in the burn-in bank. `examples/weights/fashion_conv_ebm.weights.h5` are those of seed 0 with
`device_type=gpu jit=True`, learned on `fashion_prior_ebm.weights.h5`: three and a half minutes on
one NVIDIA H200, two other runs beside it.

    python3 train_longrun.py configs_lr/fashion_conv.py --set prior_weights=PATH data_download=True
"""

from configs_lr import emoji32_conv

config = {
    **{key: value for key, value in emoji32_conv.config.items() if key != "data_labels"},
    "exp_name": "conv",
    "exp_dir": "tf_out/fashion",
    "num_training_steps": 3500,
    "image_dims": [32, 32, 1],
    "data_type": "fashion_mnist",
    "data_flip": False,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 1500], [3e-5, 2700], [1e-5, 3300]],
    "persistent_size": 4000,
    "burnin_size": 2000,
    "info_freq": 100,
    "log_freq": 500,
    "state_freq": 500,
}
