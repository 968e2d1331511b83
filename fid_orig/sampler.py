"""Samples from weights alone: the chain that an EBM was trained with, as its file records it."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from utils.errors import Diverged, UserError
from utils.mcmc.image_chains import generated_starts, uniform_starts
from utils.mcmc.noise import make_image_noise
from utils.mcmc.sampling import Sampling
from utils.seeds import Purpose, fold_each
from utils.weights.files import network_info
from utils.weights.networks import EBM, load_generator, network_at


def load_sampler(
    ebm_weights: str, gen_weights: str | None, *, seed: int = 0
) -> Callable[[np.ndarray], np.ndarray]:
    """Return image numbers (b,) -> samples (b, h, w, c) in [-1, 1] of the EBM's training chain.

    Chains start at the images of the generator, if there is one, else at uniform noise, and take
    the steps that the weights file records. The returned function raises Diverged for NaN or Inf.
    Raises UserError for weights that record no chain, or a chain with a prior or with data starts:
    for these use `fid.py` with a config.
    """
    sampling, info = Sampling.of_weights(ebm_weights), network_info(ebm_weights)
    reason = _why_only_by_config(sampling, gen_weights)
    if reason is not None:
        raise UserError(
            f"weights {ebm_weights} {reason}: draw samples by `python3 fid.py CONFIG --set "
            f"exp_type=sample ebm_weights={ebm_weights}`, with a config of configs_fid/"
        )
    assert sampling is not None  # otherwise there is a reason
    assert info is not None
    shape = info["image_dims"]
    if gen_weights is None and (sampling.init or "").startswith("coop"):
        raise UserError(
            f"weights {ebm_weights} belong to chains that start at a generator: give its weights"
        )
    own = {"ebm_weights": ebm_weights, "net_type": info.get("type"), "image_dims": shape}
    ebm = network_at(EBM, own)
    if gen_weights:
        start = generated_starts(load_generator(gen_weights, shape), seed)
    else:
        start = uniform_starts(shape, seed)
    chains = sampling.chains(sampling.potential(ebm))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def sample(numbers: tf.Tensor) -> tf.Tensor:
        images = start(numbers)
        noise = make_image_noise(fold_each(seed, Purpose.EVALUATION, numbers), images)
        return chains(images, num_steps=sampling.steps, noise=noise).images

    def finite_sample(numbers: np.ndarray) -> np.ndarray:
        images = sample(tf.convert_to_tensor(numbers, tf.int32)).numpy()
        if not np.isfinite(images).all():
            raise Diverged(f"chains of {ebm_weights} diverged: a pixel is NaN or Inf")
        return images

    return finite_sample


def _why_only_by_config(sampling: Sampling | None, gen_weights: str | None) -> str | None:
    """Return why weights alone do not determine a chain, None if they do."""
    if sampling is None:
        return "do not record the chain they were trained with"
    if sampling.prior_temperature is not None:
        return "are half of a potential, they correct a prior EBM"
    if gen_weights is None and (sampling.init or "").startswith("data"):
        return "belong to chains that start at data (mcmc_init=data)"
    return None
