"""Every attack on the emoji classifier behind its midrun EBM: images no setting was chosen on.

Settings of attacks were chosen on batch 1 of `configs_attack/emoji32.py`; these are the 48 images
of batch 2, with votes of 32 purifications. `python3 -m examples.attacks` runs one attack after the
other, and puts them into a table.

    python3 attack.py configs_attack/emoji32_table.py --set attack=apgd_ce
    python3 -m examples.attacks configs_attack/emoji32_table.py
"""

from configs_attack import emoji32

config = {
    **emoji32.config,
    "exp_name": "emoji32_table",
    "start_batch": 2,
    "end_batch": 2,
    "eot_defense_reps": 32,
}
