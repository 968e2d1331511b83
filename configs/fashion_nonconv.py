"""A shortrun EBM of Fashion-MNIST: 60,000 grey pictures of clothes, 32x32.

As `quickstart.py`, wider and longer; a negative sample has taken 35 Langevin steps on average. To
expect: shoes, bags, shirts, trousers that are told at a glance, sharper than those of the
generator that the chains start from. The weights `examples/weights/fashion_nonconv_*` are those of
seed 0 with `device_type=gpu jit=True`: six and a half minutes on one NVIDIA H200, two other runs
beside it (`docs/results.md`).

    python3 train.py configs/fashion_nonconv.py --set data_download=True
"""

from configs import quickstart

config = {
    **{key: value for key, value in quickstart.config.items() if key != "data_labels"},
    "exp_name": "nonconv",
    "exp_dir": "tf_out/fashion",
    "num_training_steps": 10000,
    "image_dims": [32, 32, 1],
    "data_type": "fashion_mnist",
    "ebm_width": 48,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 6500], [3e-5, 9000]],
    "persistent_size": 4000,
    "gen_width": 72,
    "gen_lr_info": [[5e-4, 0], [2e-4, 6500], [5e-5, 9000]],
    "info_freq": 100,
    "log_freq": 1000,
    "state_freq": 1000,
}
