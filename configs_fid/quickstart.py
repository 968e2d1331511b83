"""Score of the quickstart model of `configs/quickstart.py`, beside its generator alone.

35 samples, as many as there are held-out faces, against the 134 faces that the model learned on:
few, so compare only scores of this config. A score after 0 steps is that of the generator alone.
For a run of your own set `ebm_weights` and `gen_weights` to files of its `checkpoints/`.

    python3 fid.py configs_fid/quickstart.py
"""

from configs import quickstart
from configs_fid import emoji32_shortrun

config = {
    **emoji32_shortrun.config,
    "exp_name": "quickstart",
    "data_labels": quickstart.config["data_labels"],
    "num_samples": 35,
    "batch_size": 35,
    "reference_samples": 134,
    "ebm_weights": "examples/weights/quickstart_ebm.weights.h5",
    "mcmc_steps": 20,
    "fid_steps": [0, 20],
    "gen_weights": "examples/weights/quickstart_gen.weights.h5",
}
