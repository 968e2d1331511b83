"""The prior of longrun learning on five kinds of emoji: a first density, on two CPU cores.

Chains of 100 steps on average, rejuvenated from data; `tau` holds the density together. Noise on
the data is twice the Langevin step, as in `emoji32_medconv.py`. With both half as large, chains
would cross the space of images at a quarter of the speed and be far from their steady state when
they teach. To expect: noisy emoji, after 4 minutes on two cores of an AMD EPYC; the last
weights of seed 0 are `examples/weights/emoji32_prior_ebm.weights.h5`.

    python3 train.py configs/emoji32_prior.py
"""

from configs import emoji32_medconv

config = {
    **emoji32_medconv.config,
    "exp_name": "prior",
    "num_training_steps": 700,
    "data_epsilon": 0.06,
    "ebm_lr_info": [[3e-4, 0], [1e-4, 450], [3e-5, 600]],
    "epsilon": 0.03,
    "mcmc_step_info": [[20, 0, 0.2, 0]],
    "tau": 0.15,
    "persistent_size": 640,
}
