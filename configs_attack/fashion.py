"""The Fashion-MNIST classifier behind the midrun EBM of `configs/fashion_medconv.py`, attacked.

Settings are those of `configs_attack/emoji32.py`, chosen on its batch 1. Choose others on the first
48 images (`batch_size=48 end_batch=1`): `fashion_table.py` reports on the next 48. The same
classifier without its defence, on the same images:

    python3 attack.py configs_attack/fashion.py --set data_download=True
    python3 attack.py configs_attack/fashion.py --set data_download=True langevin_steps=0
"""

from configs_attack import emoji32

config = {
    **{key: value for key, value in emoji32.config.items() if key != "data_labels"},
    "exp_name": "fashion",
    "data_type": "fashion_mnist",
    "image_dims": [32, 32, 1],
    "batch_size": 50,
    "end_batch": 2,
    "ebm_weights": "examples/weights/fashion_medconv_ebm.weights.h5",
    "clf_weights": "examples/weights/fashion_wrn.weights.h5",
}
