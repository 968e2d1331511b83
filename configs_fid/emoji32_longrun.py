"""Score of long chains of an emoji model: does the quality of samples last?

As `emoji32_shortrun.py`, with 10,000 steps of one chain and a score at each power of ten. `--set
ebm_weights=... prior_weights=... prior_temp=...` names a model that `train_longrun.py` learned on a
prior; the committed shortrun model degenerates, as such models do. About two hours for 400 samples
on two CPU cores; less with `--set num_samples=100`.

    python3 fid.py configs_fid/emoji32_longrun.py
"""

from configs_fid import emoji32_shortrun

config = {
    **emoji32_shortrun.config,
    "exp_name": "longrun",
    "mcmc_steps": 10000,
    "fid_steps": [0, 100, 1000, 10000],
}
