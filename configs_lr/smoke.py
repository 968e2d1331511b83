"""The whole path of a longrun experiment in seconds, for tests and a first look: 20 updates.

It corrects nothing: `prior_weights` None is no prior. `configs/smoke.py` learns one, for
`--set prior_weights=PATH prior_temp=1e-3`.

    python3 train_longrun.py configs_lr/smoke.py
"""

from configs_lr import emoji32_conv

config = {
    **emoji32_conv.config,
    "exp_name": "smoke",
    "num_training_steps": 20,
    "batch_size": 8,
    "ebm_width": 8,
    "prior_weights": None,
    "mcmc_step_info": [[5, 5, 2, 0]],
    "persistent_size": 32,
    "burnin_size": 16,
    "ebm_opt_decay": 0.99,
    "info_freq": 5,
    "log_freq": 10,
    "state_freq": 10,
}
