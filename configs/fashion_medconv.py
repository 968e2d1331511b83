"""A midrun EBM of Fashion-MNIST, to defend its classifier.

As `emoji32_medconv.py`, longer: chains of 200 steps on average, rejuvenated from data. To expect:
grainy clothes. `examples/weights/fashion_medconv_ebm.weights.h5` are those of seed 0 with
`device_type=gpu jit=True`: four minutes on one NVIDIA H200, three other runs beside it.

    python3 train.py configs/fashion_medconv.py --set data_download=True
"""

from configs import emoji32_medconv

config = {
    **{key: value for key, value in emoji32_medconv.config.items() if key != "data_labels"},
    "exp_name": "medconv",
    "exp_dir": "tf_out/fashion",
    "num_training_steps": 8000,
    "image_dims": [32, 32, 1],
    "data_type": "fashion_mnist",
    "data_flip": False,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 3000], [3e-5, 6000], [1e-5, 7500]],
    "persistent_size": 4000,
    "info_freq": 100,
    "log_freq": 1000,
    "state_freq": 1000,
}
