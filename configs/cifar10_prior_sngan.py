"""The prior of longrun learning on CIFAR-10, 32x32: the published experiment.

A first density with defects, which `configs_lr/cifar10_conv_sngan.py` then corrects: chains of 50
steps, rejuvenated from a frozen pretrained generator (`gen_weights`) with probability 0.2. Sized
for GPUs or TPUs; `--dry-run` estimates the time on yours.

    python3 train.py configs/cifar10_prior_sngan.py --set gen_weights=PATH
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "device_type": "gpu",
    "exp_name": "prior_sngan",
    "exp_dir": "tf_out/cifar10",
    "num_training_steps": 150000,
    "batch_size": 128,
    "image_dims": [32, 32, 3],
    "data_type": "cifar10",
    "data_dir": "cifar10_tfds",
    "data_download": True,
    "data_epsilon": 0.02,
    "net_type": "ebm_sngan",
    "ebm_optim_type": "adam",
    "ebm_lr_info": [[0.0001, 0]],
    "ebm_opt_decay": 0.9999,
    "epsilon": 0.01,
    "mcmc_step_info": [[50, 0, 0.2, 0]],
    "mcmc_init": "coop_persistent",
    "mcmc_temp": 0.0001,
    "tau": 0.15,
    "max_mcmc_updates": 0,
    "persistent_size": 10000,
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
