"""A first look: a shortrun EBM of the emoji faces, on two CPU cores.

Chosen by experiment. The published CIFAR-10 experiment, made small: width 32 instead of 256, 20
Langevin steps instead of 100, batches of 32. The step size is larger (0.01) and the temperature
higher (1e-3), so that 20 steps and the noise suffice to move an image. The generator learns along
with batch statistics, as in the published experiment, and rejuvenates half of the states at every
draw. Learning rates of 3e-4 and 5e-4 for 700 updates, then of 1e-4 and 2e-4, show faces twice as
early as the latter throughout. To expect: yellow faces with eyes and mouths after 1,000
updates, 11 minutes on two cores of an Intel Xeon held to AVX2 (`examples/`, seed 0).

    python3 train.py configs/quickstart.py
"""

config = {
    "exp_name": "quickstart",
    "exp_dir": "tf_out/emoji32",
    "device_type": "cpu",
    "num_training_steps": 1000,
    "batch_size": 32,
    "image_dims": [32, 32, 3],
    "data_type": "emoji32",
    "data_labels": ["Smileys & Emotion"],
    "data_epsilon": 0.02,
    "net_type": "ebm_sngan",
    "ebm_width": 32,
    "ebm_optim_type": "adam",
    "ebm_lr_info": [[3e-4, 0], [1e-4, 700]],
    "epsilon": 0.01,
    "mcmc_step_info": [[20, 0, 0.5, 0]],
    "mcmc_init": "coop_persistent",
    "mcmc_temp": 1e-3,
    "max_mcmc_updates": 2,
    "persistent_size": 1000,
    "gen_type": "gen_sngan",
    "gen_width": 64,
    "z_sz": 128,
    "gen_optim_type": "adam",
    "gen_lr_info": [[5e-4, 0], [2e-4, 700]],
    "update_generator": True,
    "gen_batch_norm": True,
    "info_freq": 50,
    "log_freq": 200,
    "state_freq": 200,
}
