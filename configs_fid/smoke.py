"""The whole path of a scoring run in seconds, for tests and a first look; it says nothing.

Random networks, the features of a random network, chains of four steps. With exp_type=density:
likelihood, convergence, modes and outliers by chains as short, and annealing of 20 and 80 steps.

    python3 fid.py configs_fid/smoke.py [--set exp_type=density]
"""

from configs_fid import emoji32_shortrun

config = {
    **emoji32_shortrun.config,
    "exp_name": "smoke",
    "num_samples": 24,
    "batch_size": 8,
    "reference_samples": 24,
    "data_labels": ["Smileys & Emotion"],
    "ebm_weights": None,
    "ebm_width": 8,
    "gen_weights": None,
    "gen_width": 8,
    "mcmc_steps": 4,
    "fid_steps": [0, 2, 4],
    "segment_steps": 1,
    "epsilon": 0.01,
    "mcmc_temp": 1e-3,
    "feature_net": "random_conv",
    "data_epsilon": 0.03,
    "ais_steps": [20, 80],
}
