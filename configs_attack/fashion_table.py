"""Every attack on the Fashion-MNIST classifier behind its midrun EBM: images 49 to 96.

Settings of attacks are those of `configs_attack/emoji32.py`, chosen on its batch 1; these are the
48 images of batch 2, with votes of 32 purifications. `python3 -m examples.attacks` runs one attack
after the other, and puts them into a table.

    python3 attack.py configs_attack/fashion_table.py --set data_download=True attack=apgd_ce
    python3 -m examples.attacks configs_attack/fashion_table.py --set data_download=True
"""

from configs_attack import fashion

config = {
    **fashion.config,
    "exp_name": "fashion_table",
    "batch_size": 48,
    "start_batch": 2,
    "end_batch": 2,
    "eot_defense_reps": 32,
}
