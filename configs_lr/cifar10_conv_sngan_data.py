"""Longrun learning on CIFAR-10, 32x32, without a generator: the published variant.

As `cifar10_conv_sngan.py`, but chains start from data. Sized for GPUs or TPUs; `--dry-run`
estimates the time on yours.

    python3 train_longrun.py configs_lr/cifar10_conv_sngan_data.py --set prior_weights=PATH
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "device_type": "gpu",
    "exp_name": "conv_sngan",
    "exp_dir": "tf_out/cifar10",
    "num_training_steps": 250000,
    "batch_size": 128,
    "image_dims": [32, 32, 3],
    "data_type": "cifar10",
    "data_dir": "cifar10_tfds",
    "data_download": True,
    "data_epsilon": 0.02,
    "net_type": "ebm_sngan",
    "ebm_optim_type": "adam",
    "ebm_lr_type": "step",
    "ebm_lr_info": [[2.5e-05, 0], [1e-05, 50000], [1e-06, 75000], [1e-07, 100000], [1e-08, 125000]],
    "ebm_opt_decay": 0,
    "epsilon": 0.01,
    "mcmc_step_info": [[100, 100, 750, 0]],
    "mcmc_init": "data_persistent",
    "mcmc_temp": 0.0001,
    "tau": 0.15,
    "prior_weights": "",
    "prior_temp": 0.0001,
    "persistent_size": 10000,
    "burnin_size": 1000,
    "burnin_grad_updates": 0,
    "gen_type": "gen_sngan",
    "z_sz": 128,
    "update_generator": False,
    "gen_batch_norm": False,
    "gen_weights": "",
    "gen_optim_type": "adam",
    "gen_lr_info": [[0.0001, 0]],
    "gen_opt_decay": 0.9999,
    "max_grad_norm": 20,
    "clip_ebm_grad": False,
    "max_langevin_norm": 0.25,
    "clip_langevin_grad": False,
    "info_freq": 500,
    "log_freq": 5000,
    "save_networks": True,
}
