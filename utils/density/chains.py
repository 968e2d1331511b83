"""The chains of a density run: from arrays on the host, over all replicas, and back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from utils.density.annealing import anneal, make_state_of, make_uniforms
from utils.density.gaussian import Gaussian
from utils.mcmc.image_chains import Networks, generated_starts, uniform_starts
from utils.mcmc.langevin import gradient_of, image_norms
from utils.mcmc.noise import make_image_noise
from utils.mcmc.potential import Potential
from utils.replicas import Replicas
from utils.scores.segments import LONGEST_SEGMENT
from utils.seeds import Purpose, draw_each, fold_each

Call = Callable[..., Any]  # (*arrays of rows, **shared values) -> nested arrays of rows


def make_starts(
    config: Mapping[str, Any], replicas: Replicas, networks: Networks
) -> dict[str, Call]:
    """Return, by name of the start, numbers of chains -> images; without starts from data."""
    seed, starts = config["seed"], {}
    if networks.gen is not None:
        starts["generator"] = generated_starts(networks.gen, seed)
    starts["noise"] = uniform_starts(config["image_dims"], seed)
    return {name: replicas.spread(start) for name, start in starts.items()}


def make_base_draw(base: Gaussian, replicas: Replicas, seed: int) -> Call:
    """Return (numbers of chains, stream) -> exact draws (n, h, w, c) from the base."""

    def draw(numbers: tf.Tensor, stream: tf.Tensor) -> tf.Tensor:
        white = draw_each(
            lambda key: tf.random.stateless_normal(base.shape, key, alg="philox"),
            fold_each(seed, Purpose.BASE, numbers, stream), base.shape, tf.float32,
        )  # fmt: skip
        return base.images(white)

    return replicas.spread(draw)


def make_annealing(base: Gaussian, potential: Potential, replicas: Replicas, seed: int) -> Call:
    """Return (images, numbers, stream, first step, steps, path) -> images and a record.

    The record is (b, 4) float64: growth of the log weights, acceptance, U_0 and U. The tables of a
    path begin at the first step; `filled_up` pads them to one length.
    """
    state_of = make_state_of(base.potential, potential)

    def run(images, numbers, stream, first, steps, path):
        noise_keys, uniform_keys = (
            fold_each(seed, purpose, numbers, stream)
            for purpose in (Purpose.ANNEALING, Purpose.ACCEPTANCE)
        )
        draws = make_image_noise(noise_keys, images), make_uniforms(uniform_keys)
        state, log_weights, acceptance = anneal(
            images, state_of, path, num_steps=steps, draws=draws, first_step=first
        )
        record = tf.stack([log_weights, acceptance, state.base, state.target], axis=1)
        return state.images, record

    return replicas.spread(run)


def make_measure(base: Gaussian, potential: Potential, replicas: Replicas) -> Call:
    """Return images (n, h, w, c) -> (n, 3): U, the norm of its gradient, and U_0."""

    def measure(images: tf.Tensor) -> tf.Tensor:
        gradient = image_norms(gradient_of(potential, images))
        of_base = tf.cast(base.potential(images), images.dtype)
        return tf.stack([potential(images), gradient, of_base], axis=1)

    return replicas.rows(measure, replicas.batch_size)


def filled_up(path: Sequence[np.ndarray], first: int, last: int) -> tuple[np.ndarray, ...]:
    """Return a path's tables from step `first` to `last`, padded to one length.

    So all segments share one graph.
    """
    betas, epsilons = path[0][first : last + 1], path[1][first:last]
    longest = LONGEST_SEGMENT
    return (
        np.pad(betas, (0, longest + 1 - len(betas)), mode="edge"),
        np.pad(epsilons, (0, longest - len(epsilons))),
    )
