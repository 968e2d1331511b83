"""A shortrun EBM of all emoji: 1,492 pictures of nine classes, on two CPU cores.

As `quickstart.py`, on the whole training split and longer: nine classes need about four times the
updates that one needs, and learning rates that fall by a factor of ten. To expect: the shapes and
colours of flags, figures, animals and things, without details (`examples/`, made with seed 0 in 51
minutes on two busy cores; the last weights are `examples/weights/emoji32_nonconv_*`).

    python3 train.py configs/emoji32_nonconv.py
"""

from configs import quickstart

config = {
    **quickstart.config,
    "exp_name": "nonconv",
    "num_training_steps": 4000,
    "data_labels": None,
    "persistent_size": 2000,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 2000], [3e-5, 3200]],
    "gen_lr_info": [[5e-4, 0], [2e-4, 2000], [5e-5, 3200]],
    "info_freq": 100,
    "log_freq": 500,
    "state_freq": 500,
}
