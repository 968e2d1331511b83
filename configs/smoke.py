"""The whole path of a shortrun experiment in seconds, for tests and a first look: 20 updates.

It is `quickstart.py`, smaller, with moving averages of both networks, and learns nothing worth
looking at.

    python3 train.py configs/smoke.py
"""

from configs import quickstart

config = {
    **quickstart.config,
    "exp_name": "smoke",
    "num_training_steps": 20,
    "batch_size": 8,
    "ebm_width": 8,
    "gen_width": 8,
    "mcmc_step_info": [[5, 0, 0.5, 0]],
    "persistent_size": 32,
    "ebm_opt_decay": 0.99,
    "gen_opt_decay": 0.99,
    "info_freq": 5,
    "log_freq": 10,
    "state_freq": 10,
}
