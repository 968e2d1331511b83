"""The emoji classifier behind the midrun EBM of `configs/emoji32_medconv.py`, attacked at 8/255.

48 images of the test split: 40 are classified rightly after 100 Langevin steps, 43 without. These
are batch 1, on which settings of attacks were chosen: report from `start_batch=2` on, as
`emoji32_table.py` does. The same classifier without its defence, on the same images:

    python3 attack.py configs_attack/emoji32.py
    python3 attack.py configs_attack/emoji32.py --set langevin_steps=0
"""

from configs_clf import emoji32_wrn

config = {
    "exp_name": "emoji32",
    "exp_dir": "tf_out/attack",
    "device_type": "cpu",
    "data_type": "emoji32",
    "data_labels": emoji32_wrn.config["data_labels"],
    "split": "test",
    "image_dims": [32, 32, 3],
    "batch_size": 48,
    "end_batch": 1,
    "shuffle": True,
    "adv_steps": 40,
    "adv_eps": 8.0,
    "adv_eta": 2.0,
    "adv_rand_start": True,
    "eot_attack_reps": 2,
    "eot_defense_reps": 16,
    "langevin_steps": 100,
    "epsilon": 0.04,
    "mcmc_temp": 1e-3,
    "net_type": "ebm_sngan",
    "ebm_weights": "examples/weights/emoji32_medconv_ebm.weights.h5",
    "clf_weights": "examples/weights/emoji32_wrn.weights.h5",
    "log_freq": 10,
}
