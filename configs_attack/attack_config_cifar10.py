"""BPDA + EOT attack on CIFAR-10 behind a midrun EBM: the published evaluation.

The weights of classifier and EBM have to be filled in. Published: natural accuracy 0.790,
robust accuracy 0.567 at 8/255, from 10 batches of 64 images, so give or take 3.8 points. Sized for
GPUs or TPUs; not run here.

    python3 attack.py configs_attack/attack_config_cifar10.py --set ebm_weights=A clf_weights=B
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "device_type": "gpu",
    "data_type": "cifar10",
    "data_dir": "cifar10_tfds",
    "data_download": True,
    "split": "test",
    "exp_dir": "tf_out/attack",
    "exp_name": "cifar10_test",
    "image_dims": [32, 32, 3],
    "image_dims_clf": [32, 32, 3],
    "pixel_scale_clf": [-1, 1],
    "start_batch": 1,
    "end_batch": 10,
    "batch_size": 64,
    "shuffle": True,
    "adv_steps": 50,
    "adv_eps": 8.0,
    "adv_eta": 2.0,
    "adv_rand_start": True,
    "eot_attack_reps": 48,
    "eot_defense_reps": 128,
    "langevin_steps": 2000,
    "epsilon": 0.01,
    "mcmc_temp": 0.0001,
    "ebm_weights": "",
    "net_type": "ebm_sngan",
    "clf_weights": "",
    "log_freq": 1,
    "record_image_states": False,
}
