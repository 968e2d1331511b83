"""Does the density of the longrun emoji model last? Scores after 1, 10 and 100 training chains.

Chains of the model that `configs_lr/emoji32_conv.py` learned start at the shortrun model's
generator (published ones: at a pretrained generator). In training a sample had taken 200 Langevin
steps on average: scores after 200, 2,000 and 20,000 steps. Step size, temperature and `tau` are
those stored in the EBM's weights. Ten minutes on two CPU cores.

    python3 fid.py configs_fid/emoji32_longrun.py
"""

from configs_fid import emoji32_shortrun

config = {
    **emoji32_shortrun.config,
    "exp_name": "longrun",
    "num_samples": 32,
    "batch_size": 32,
    "ebm_weights": "examples/weights/emoji32_conv_ebm.weights.h5",
    "prior_weights": "examples/weights/emoji32_prior_ebm.weights.h5",
    "prior_temp": 1e-3,
    "mcmc_steps": 20000,
    "fid_steps": [0, 200, 2000, 20000],
    "segment_steps": 200,
}
