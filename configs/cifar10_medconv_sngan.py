"""Midrun learning on CIFAR-10, 32x32, for defence: the published experiment.

Chains of 100 steps from a bank of 25,000 states, each rejuvenated from a frozen pretrained
generator (`gen_weights`) with probability 0.05. Published result of the defence against 8/255:
natural accuracy 0.790, robust accuracy 0.567. Sized for GPUs or TPUs.

    python3 train.py configs/cifar10_medconv_sngan.py --set gen_weights=PATH
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "device_type": "gpu",
    "exp_name": "medconv_sngan",
    "exp_dir": "tf_out/cifar10",
    "num_training_steps": 150000,
    "batch_size": 128,
    "image_dims": [32, 32, 3],
    "data_type": "cifar10",
    "data_dir": "cifar10_tfds",
    "data_download": True,
    "data_epsilon": 0.025,
    "net_type": "ebm_sngan",
    "ebm_optim_type": "adam",
    "ebm_lr_info": [[0.0001, 0], [1e-05, 50000], [1e-06, 75000], [1e-07, 100000], [1e-08, 125000]],
    "ebm_opt_decay": 0.9999,
    "epsilon": 0.0125,
    "mcmc_step_info": [[100, 0, 0.05, 0]],
    "mcmc_init": "coop_persistent",
    "mcmc_temp": 0.0001,
    "max_mcmc_updates": 0,
    "persistent_size": 25000,
    "gen_type": "gen_sngan",
    "z_sz": 128,
    "gen_weights": "",
    "gen_optim_type": "adam",
    "gen_lr_info": [[0.0001, 0]],
    "gen_opt_decay": 0.9999,
    "gen_batch_norm": False,
    "update_generator": False,
    "max_grad_norm": 20.0,
    "clip_ebm_grad": False,
    "clip_gen_grad": False,
    "max_langevin_norm": 0.3,
    "clip_langevin_grad": False,
    "info_freq": 500,
    "log_freq": 5000,
    "save_networks": True,
}
