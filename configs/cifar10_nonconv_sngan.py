"""Shortrun synthesis on CIFAR-10, 32x32: the published experiment.

An EBM and a co-trained generator; chains of 100 steps from a bank rejuvenated by the generator.
Published result: FID 22.1 (50,000 samples), best between 25,000 and 50,000 updates. Sized for GPUs
or TPUs; `--dry-run` estimates the time on yours.

    python3 train.py configs/cifar10_nonconv_sngan.py
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "device_type": "gpu",
    "exp_name": "nonconv_sngan",
    "exp_dir": "tf_out/cifar10",
    "num_training_steps": 150000,
    "batch_size": 128,
    "image_dims": [32, 32, 3],
    "data_type": "cifar10",
    "data_dir": "cifar10_tfds",
    "data_download": True,
    "data_epsilon": 0.01,
    "net_type": "ebm_sngan",
    "ebm_optim_type": "adam",
    "ebm_lr_info": [[0.0001, 0]],
    "ebm_opt_decay": 0.9999,
    "epsilon": 0.005,
    "mcmc_step_info": [[100, 0, 0.5, 0]],
    "mcmc_init": "coop_persistent",
    "mcmc_temp": 0.0001,
    "max_mcmc_updates": 2,
    "persistent_size": 10000,
    "gen_type": "gen_sngan",
    "z_sz": 128,
    "gen_optim_type": "adam",
    "gen_lr_info": [[0.0001, 0]],
    "gen_opt_decay": 0.9999,
    "update_generator": True,
    "gen_batch_norm": True,
    "max_grad_norm": 20.0,
    "clip_ebm_grad": False,
    "clip_gen_grad": False,
    "max_langevin_norm": 0.1,
    "clip_langevin_grad": False,
    "info_freq": 500,
    "log_freq": 5000,
    "save_networks": True,
}
