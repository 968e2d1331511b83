"""The whole path of an attack in seconds, for tests and a first look: 2 small batches, 3 rounds.

python3 attack.py configs_attack/smoke.py
"""

from configs_attack import emoji32

config = {
    **emoji32.config,
    "exp_name": "smoke",
    "batch_size": 8,
    "end_batch": 2,
    "adv_steps": 2,
    "eot_attack_reps": 2,
    "eot_defense_reps": 2,
    "langevin_steps": 2,
    "ebm_weights": "examples/weights/emoji32_nonconv_ebm.weights.h5",
    "log_freq": 1,
}
