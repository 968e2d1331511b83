"""A midrun EBM of five kinds of emoji, to defend their classifier, on two CPU cores.

Chains of 200 steps on average, rejuvenated from data; steps four times as large as those of
`quickstart.py`, so that a purification of 100 steps moves an image further than an attack of 8/255
does. To expect: grainy pictures of what the data show, after 13 minutes on two cores of an AMD
EPYC; the last weights of seed 0 are `examples/weights/emoji32_medconv_ebm.weights.h5`.

    python3 train.py configs/emoji32_medconv.py
"""

from configs_clf import emoji32_wrn

config = {
    "exp_name": "medconv",
    "exp_dir": "tf_out/emoji32",
    "device_type": "cpu",
    "num_training_steps": 2400,
    "batch_size": 32,
    "image_dims": [32, 32, 3],
    "data_type": "emoji32",
    "data_labels": emoji32_wrn.config["data_labels"],
    "data_flip": True,
    "data_epsilon": 0.08,
    "net_type": "ebm_sngan",
    "ebm_width": 32,
    "ebm_optim_type": "adam",
    "ebm_lr_info": [[3e-4, 0], [1e-4, 1000], [3e-5, 1800], [1e-5, 2200]],
    "epsilon": 0.04,
    "mcmc_step_info": [[20, 0, 0.1, 0]],
    "mcmc_init": "data_persistent",
    "mcmc_temp": 1e-3,
    "max_mcmc_updates": 0,
    "persistent_size": 800,
    "info_freq": 50,
    "log_freq": 400,
    "state_freq": 400,
}
