"""Longrun learning on five kinds of emoji, on two CPU cores: a prior corrected.

Negative samples have taken 200 Langevin steps on average, the first 100 in the burn-in bank. Rates
as high as the prior's are needed for 1,000 updates to hold the noise of longer chains; with a third
of them samples of 400-step chains stayed noisy. 17 minutes on two cores of an AMD EPYC; the last
weights of seed 0 are `examples/weights/emoji32_conv_ebm.weights.h5`, learned on
`emoji32_prior_ebm.weights.h5`.

    python3 train_longrun.py configs_lr/emoji32_conv.py --set prior_weights=PATH
"""

from configs import emoji32_prior

config = {
    "exp_name": "conv",
    "exp_dir": "tf_out/emoji32",
    "device_type": "cpu",
    "num_training_steps": 1000,
    "batch_size": 32,
    "image_dims": [32, 32, 3],
    "data_type": "emoji32",
    "data_labels": emoji32_prior.config["data_labels"],
    "data_flip": True,
    "data_epsilon": emoji32_prior.config["data_epsilon"],
    "net_type": "ebm_sngan",
    "ebm_width": 32,
    "ebm_optim_type": "adam",
    "ebm_lr_info": [[3e-4, 0], [1e-4, 500], [3e-5, 750], [1e-5, 920]],
    "epsilon": emoji32_prior.config["epsilon"],
    "mcmc_step_info": [[20, 20, 4, 0]],
    "mcmc_init": "data_persistent",
    "mcmc_temp": 1e-3,
    "tau": emoji32_prior.config["tau"],
    "prior_weights": "",
    "prior_temp": emoji32_prior.config["mcmc_temp"],
    "persistent_size": 640,
    "burnin_size": 320,
    "info_freq": 50,
    "log_freq": 200,
    "state_freq": 200,
}
