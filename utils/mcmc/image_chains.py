"""Evaluation chains, which depend on an image's number and not on its batch.

Latents and noise of an image are streams of (seed, image number), so that packing, batch size and
the number of replicas change nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from nets import create_ebm, create_gen
from utils.replicas import Replicas
from utils.seeds import Purpose, draw_each, fold_each, folded, folding_draw
from utils.weights.networks import create_prior

Starts = Callable[[tf.Tensor], tf.Tensor]  # image numbers (b,) -> images (b, h, w, c)


class Networks(NamedTuple):
    """The networks of evaluation chains; none of them learns."""

    ebm: keras.Model
    prior: keras.Model | None
    gen: keras.Model | None


def create_networks(config: Mapping[str, Any], replicas: Replicas) -> Networks:
    """Build the networks of a config on all replicas; load the weights of the prior only."""
    gen = None
    with replicas.strategy.scope():
        ebm = create_ebm(config)
        prior = create_prior(config)
        if config["mcmc_init"] == "coop":
            gen = create_gen(config)
    return Networks(ebm, prior, gen)


def generated_starts(gen: keras.Model, seed: int) -> Starts:
    """Return image numbers (b,) -> the generator's images (b, h, w, c) in [-1, 1].

    Latents, and labels of a conditional generator, are streams of the image numbers.
    """

    def start(numbers: tf.Tensor) -> tf.Tensor:
        keys = fold_each(seed, Purpose.LATENTS, numbers)
        latents = draw_each(lambda key: gen.sample_latents(1, key)[0], keys, [gen.z_sz], tf.float32)
        if not hasattr(gen, "sample_labels"):
            return gen(latents, training=False)
        labels = draw_each(
            lambda key: gen.sample_labels(1, folded(folding_draw(key), 1))[0], keys, [], tf.int32
        )
        return gen(latents, labels=labels, training=False)

    return start


def uniform_starts(shape: list[int], seed: int) -> Starts:
    """Return image numbers (b,) -> uniform noise (b, h, w, c) in [-1, 1]."""

    def draw(key: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, key, -1, 1, alg="philox")

    return lambda numbers: draw_each(
        draw, fold_each(seed, Purpose.NOISE_IMAGES, numbers), shape, tf.float32
    )
