"""Longrun learning on Fashion-MNIST: a prior corrected.

As `emoji32_conv.py`, with chains that grow: negative samples have taken 200 Langevin steps on
average, 1,000 from update 1,500 on and 10,000 from update 4,000 on, a tenth of them in the burn-in
bank. Small banks let chains become so old. 79 minutes on two idle cores of an Intel Xeon; the last
weights of seed 0, learned on `fashion_prior_ebm.weights.h5`, are
`examples/weights/fashion_conv_ebm.weights.h5`.

    python3 train_longrun.py configs_lr/fashion_conv.py --set prior_weights=PATH data_download=True
"""

from configs_lr import emoji32_conv

config = {
    **{key: value for key, value in emoji32_conv.config.items() if key != "data_labels"},
    "exp_name": "conv",
    "exp_dir": "tf_out/fashion",
    "num_training_steps": 12_000,
    "image_dims": [32, 32, 1],
    "data_type": "fashion_mnist",
    "data_flip": False,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 4000], [3e-5, 8500], [1e-5, 11_000]],
    "mcmc_step_info": [[18, 2, 9, 0], [18, 2, 49, 1500], [18, 2, 499, 4000]],
    "persistent_size": 128,
    "burnin_size": 128,
    "info_freq": 100,
    "log_freq": 500,
    "state_freq": 500,
}
