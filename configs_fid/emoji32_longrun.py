"""Does the density of the longrun emoji model last? Scores after 1, 10 and 100 training chains.

Chains of the model that `configs_lr/emoji32_conv.py` learned start at data, as in training, where
a sample had taken 400 Langevin steps on average: scores after 400, 4,000 and 40,000 steps. Step
size, temperature and `tau` are those stored in the EBM's weights.

    python3 fid.py configs_fid/emoji32_longrun.py
"""

from configs_fid import emoji32_shortrun

config = {
    **emoji32_shortrun.config,
    "exp_name": "longrun",
    "num_samples": 64,
    "batch_size": 64,
    "ebm_weights": "examples/weights/emoji32_conv_ebm.weights.h5",
    "prior_weights": "examples/weights/emoji32_prior_ebm.weights.h5",
    "prior_temp": 1e-3,
    "mcmc_init": "data",
    "mcmc_steps": 40000,
    "fid_steps": [0, 400, 4000, 40000],
    "segment_steps": 400,
    "gen_type": None,
    "gen_weights": None,
}
