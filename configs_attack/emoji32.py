"""The emoji classifier, attacked at 8/255 on the whole test split: bare, as written.

    python3 attack.py configs_attack/emoji32.py

Behind a midrun EBM (none comes with the repository yet):

    python3 attack.py configs_attack/emoji32.py --set langevin_steps=200 ebm_weights=PATH
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
    "batch_size": 64,
    "adv_steps": 50,
    "adv_eps": 8.0,
    "adv_eta": 2.0,
    "adv_rand_start": True,
    "eot_attack_reps": 8,
    "eot_defense_reps": 16,
    "langevin_steps": 0,
    "epsilon": 0.01,
    "mcmc_temp": 1e-3,
    "net_type": "ebm_sngan",
    "ebm_weights": None,
    "clf_weights": "examples/weights/emoji32_wrn.weights.h5",
    "log_freq": 10,
}
