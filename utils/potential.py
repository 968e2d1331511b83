"""The potential of a config: an EBM, the frozen prior, the Gaussian term; and chains in it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from nets import create_ebm
from utils.checkpoint import network_info, with_stored_sizes
from utils.errors import UserError
from utils.import_weights import load_weights
from utils.langevin import Chain, Potential, langevin, make_potential
from utils.noise import Noise
from utils.parts import in_parts


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


def require_prior(ebm_weights: str, prior_weights: str | None) -> None:
    """Raise UserError for an EBM that corrects a prior and is to run without one."""
    chain = (network_info(ebm_weights) or {}).get("chain", {})
    if chain.get("prior_temperature") is not None and not prior_weights:
        raise UserError(
            f"weights {ebm_weights} are half of a potential, they correct a prior EBM: set "
            f"prior_weights, and prior_temp={chain['prior_temperature']:g}"
        )


def create_potential(
    config: Mapping[str, Any], ebm: keras.Model, prior: keras.Model | None
) -> Potential:
    """Return the potential U of a config's chains; only `fid.py` has a joint temperature."""
    return make_potential(
        ebm,
        config["mcmc_temp"],
        prior=prior,
        prior_temperature=config["prior_temp"],
        tau=config["tau"],
        joint_temperature=config.get("joint_temp", 1.0),
    )


def make_langevin(config: Mapping[str, Any], potential: Potential) -> Callable[..., Chain]:
    """Return `langevin` in a potential, with a config's step size and clipping."""
    max_norm = config["max_langevin_norm"] if config["clip_langevin_grad"] else None
    chain = functools.partial(
        langevin, potential=potential, epsilon=config["epsilon"], max_norm=max_norm
    )

    def run(images: tf.Tensor, *, noise: Noise | None, **steps: int | tf.Tensor) -> Chain:
        return in_parts(functools.partial(chain, **steps), images, noise)

    return run
