"""The prior of longrun learning on all emoji: a first density with defects, on two CPU cores.

Chains of 100 steps on average, rejuvenated from data; `tau` holds the density together. To expect:
noisy samples, after 12 minutes on two busy cores; the last weights of seed 0 are
`examples/weights/emoji32_prior_ebm.weights.h5`.

    python3 train.py configs/emoji32_prior.py
"""

from configs import emoji32_medconv

config = {
    **emoji32_medconv.config,
    "exp_name": "prior",
    "num_training_steps": 1200,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 700], [3e-5, 1000]],
    "mcmc_step_info": [[20, 0, 0.2, 0]],
    "tau": 0.15,
    "persistent_size": 640,
}
