"""A shortrun EBM of five kinds of emoji, those of `configs_clf/emoji32_wrn.py`, on two CPU cores.

As `quickstart.py`, on 858 pictures of five classes, and longer; a negative sample has taken 35
Langevin steps on average. To expect: yellow and coloured blots of the size of faces and flags
without details, and a density that holds for such short chains only (`examples/life_cycle/`). 13
minutes on two cores of an AMD EPYC; the last weights of seed 0 are
`examples/weights/emoji32_nonconv_*`.

    python3 train.py configs/emoji32_nonconv.py
"""

from configs import quickstart
from configs_clf import emoji32_wrn

config = {
    **quickstart.config,
    "exp_name": "nonconv",
    "num_training_steps": 1400,
    "data_labels": emoji32_wrn.config["data_labels"],
    "ebm_lr_info": [[3e-4, 0], [1e-4, 900], [3e-5, 1250]],
    "gen_lr_info": [[5e-4, 0], [2e-4, 900], [5e-5, 1250]],
}
