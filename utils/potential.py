"""The frozen prior EBM of a potential."""

from collections.abc import Mapping
from typing import Any

import keras

from nets import create_ebm
from utils.checkpoint import with_stored_sizes
from utils.import_weights import load_weights


def create_prior(config: Mapping[str, Any]) -> keras.Model | None:
    """Return the frozen prior EBM with its weights; None without one.

    It is as wide as its weights say, else as `ebm_width`.
    """
    path = config["prior_weights"]
    if not path:
        return None
    open_width, sizes = {**config, "ebm_width": None}, {"width": "ebm_width"}
    sized = with_stored_sizes(open_width, "prior_weights", "net_type", sizes)
    prior = create_ebm({**sized, "ebm_width": sized["ebm_width"] or config["ebm_width"]})
    load_weights(prior, path)
    return prior
