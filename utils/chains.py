"""Evaluation chains: images by their number in the evaluation, whatever batch they come in.

Latents and noise of an image are streams of (seed, image number), so packing, batch size and
replicas change nothing.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from nets import create_ebm, create_gen
from utils.checkpoint import network_info
from utils.errors import UserError
from utils.import_weights import load_weights
from utils.langevin import langevin, make_potential
from utils.noise import make_image_noise
from utils.parts import in_parts
from utils.potential import create_prior, require_prior
from utils.seeds import Purpose, fold, folded, folding_draw

Starts = Callable[[tf.Tensor], tf.Tensor]  # image numbers (b,) -> images (b, h, w, 3)


class Networks(NamedTuple):
    """What evaluation chains run through; nothing here learns."""

    ebm: keras.Model
    prior: keras.Model | None
    gen: keras.Model | None


def create_networks(config: Mapping[str, Any], strategy: tf.distribute.Strategy) -> Networks:
    """Build the networks of a config under a strategy; only the prior's weights are loaded."""
    gen = None
    with strategy.scope():
        ebm = create_ebm(config)
        prior = create_prior(config)
        if config["mcmc_init"] == "coop":
            gen = create_gen(config)
    return Networks(ebm, prior, gen)


def resolve_chain(config: Mapping[str, Any], ebm_weights: str | None) -> dict[str, Any]:
    """Return the config with what it leaves open of the chain taken from the EBM's weights.

    `mcmc_steps` None takes the stored number of steps, `epsilon` None the step size, temperature,
    tau and clipping. Raises UserError for weights that do not say them. `data_epsilon` None is 0
    where they do not say it.
    """
    result = dict(config)
    if ebm_weights:
        require_prior(ebm_weights, config["prior_weights"])
    if config["data_epsilon"] is None:
        chain = ((network_info(ebm_weights) if ebm_weights else None) or {}).get("chain", {})
        result["data_epsilon"] = chain.get("data_epsilon", 0.0)
    if config["mcmc_steps"] is not None and config["epsilon"] is not None:
        return result
    if not ebm_weights:
        raise UserError("'mcmc_steps', 'epsilon' and 'mcmc_temp' are missing: no 'ebm_weights'")
    chain = _sampler_info(ebm_weights)["chain"]
    if config["mcmc_steps"] is None:
        result["mcmc_steps"] = chain["steps"]
    if config["epsilon"] is None:
        norm = chain["max_norm"]
        result |= {"epsilon": chain["epsilon"], "mcmc_temp": chain["temperature"]}
        result |= {"tau": chain["tau"], "clip_langevin_grad": norm is not None}
        result |= {"max_langevin_norm": norm or config["max_langevin_norm"]}
    return result


def image_keys(seed: int, purpose: Purpose, numbers: tf.Tensor) -> tf.Tensor:
    """Return the (b, 2) int64 seeds of images' streams, by their numbers (b,)."""
    return tf.map_fn(
        lambda number: fold(seed, purpose, number),
        tf.cast(numbers, tf.int32),
        fn_output_signature=tf.TensorSpec([2], tf.int64),
    )


def load_sampler(
    ebm_weights: str, gen_weights: str | None, *, seed: int = 0
) -> Callable[[np.ndarray], np.ndarray]:
    """Return image numbers (b,) -> samples (b, h, w, 3): the chain that the EBM was trained with.

    Chains start at the generator's images where there is a generator, else at uniform noise, and
    take the steps that the weights file says. Raises UserError for weights that do not say them, or
    whose chain had a prior beside the EBM.
    """
    require_prior(ebm_weights, None)
    info = _sampler_info(ebm_weights)
    chain, shape = info["chain"], info["image_dims"]
    if gen_weights is None and chain.get("init", "").startswith("coop"):
        raise UserError(
            f"weights {ebm_weights} belong to chains that start at a generator: give its weights"
        )
    ebm = create_ebm({"net_type": info["type"], "image_dims": shape, "ebm_width": info["width"]})
    load_weights(ebm, ebm_weights)
    if gen_weights:
        start = generated_starts(_load_generator(gen_weights, shape), seed)
    else:
        start = uniform_starts(shape, seed)
    run = functools.partial(
        langevin,
        potential=make_potential(ebm, chain["temperature"], tau=chain["tau"]),
        num_steps=chain["steps"],
        epsilon=chain["epsilon"],
        max_norm=chain["max_norm"],
    )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def sample(numbers: tf.Tensor) -> tf.Tensor:
        images = start(numbers)
        noise = make_image_noise(image_keys(seed, Purpose.EVALUATION, numbers), images)
        return in_parts(run, images, noise).images

    return lambda numbers: sample(tf.convert_to_tensor(numbers, tf.int32)).numpy()


def generated_starts(gen: keras.Model, seed: int) -> Starts:
    """Return numbers -> the generator's images, of latents (and labels) that belong to them."""

    def start(numbers: tf.Tensor) -> tf.Tensor:
        keys = image_keys(seed, Purpose.LATENTS, numbers)
        latents = tf.map_fn(
            lambda key: gen.sample_latents(1, key)[0],
            keys,
            fn_output_signature=tf.TensorSpec([gen.z_sz], tf.float32),
        )
        if not hasattr(gen, "sample_labels"):
            return gen(latents, training=False)
        labels = tf.map_fn(
            lambda key: gen.sample_labels(1, folded(folding_draw(key), 1))[0],
            keys,
            fn_output_signature=tf.TensorSpec([], tf.int32),
        )
        return gen(latents, labels=labels, training=False)

    return start


def uniform_starts(shape: list[int], seed: int) -> Starts:
    """Return numbers -> uniform noise in [-1, 1]."""

    def draw(key: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, key, -1, 1, alg="philox")

    return lambda numbers: tf.map_fn(
        draw,
        image_keys(seed, Purpose.NOISE_IMAGES, numbers),
        fn_output_signature=tf.TensorSpec(shape, tf.float32),
    )


def _sampler_info(ebm_weights: str) -> dict:
    info = network_info(ebm_weights) or {}
    if "chain" not in info:
        raise UserError(
            f"weights {ebm_weights} do not say the chain they were trained with: "
            "set mcmc_steps, epsilon and mcmc_temp"
        )
    return info


def _load_generator(gen_weights: str, shape: list[int]) -> keras.Model:
    info = network_info(gen_weights) or {}
    if info.get("image_dims") != shape:
        raise UserError(f"weights {gen_weights} are not of a generator of {shape} images")
    sizes = {"gen_width": info["width"], "z_sz": info["z_sz"]}
    gen = create_gen({"gen_type": info["type"], "image_dims": shape, **sizes})
    load_weights(gen, gen_weights)
    return gen
