"""Langevin dynamics: the one loop of all chains of the project."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from utils.mcmc.potential import Potential


class Dynamics(NamedTuple):
    """A step x <- x - (eps^2/2) grad U(x) + eps z, without its noise z.

    With `max_norm` the drift of each image, (eps^2/2) grad U, is clipped to that L2 norm. The
    temperature is inside U (Nijkamp et al. 2019, "On the anatomy of MCMC-based maximum likelihood
    learning of energy-based models").
    """

    potential: Potential
    epsilon: float | tf.Tensor
    max_norm: float | None = None


class Chain(NamedTuple):
    """The result of `langevin`.

    images: (b, h, w, c), the last states. grad_norms: (b,), the norm |(eps^2/2) grad U| of each
    image at the last step, after clipping. path: (num_steps + 1, b, h, w, c), all states, or None.
    """

    images: tf.Tensor
    grad_norms: tf.Tensor
    path: tf.Tensor | None


def langevin(
    images: tf.Tensor,
    dynamics: Dynamics,
    *,
    num_steps: int | tf.Tensor,
    noise: Callable[[tf.Tensor], tf.Tensor] | None,
    first_step: int | tf.Tensor = 0,
    keep_path: bool = False,
) -> Chain:
    """Run x <- x - (eps^2/2) grad U(x) + eps z for `num_steps` steps from `images`.

    `noise(k)` gives z of step k, counted from `first_step`, so that a chain that runs in segments
    is the same chain; None runs without noise. Images are (b, h, w, c) around [-1, 1] and are never
    clipped.
    """
    potential, epsilon, max_norm = dynamics
    first_step, num_steps = tf.cast(first_step, tf.int32), tf.cast(num_steps, tf.int32)
    # XLA would compile anew for each number of steps if the size of the array depended on it.
    size = num_steps + 1 if keep_path else 0
    path = tf.TensorArray(images.dtype, size, element_shape=images.shape)
    path = path.write(0, images) if keep_path else path

    def step(k, x, _, path):
        drift = (epsilon**2 / 2) * gradient_of(potential, x)
        if max_norm is not None:
            drift = tf.clip_by_norm(drift, max_norm, axes=(1, 2, 3))
        x = x - drift
        if noise is not None:
            x = x + epsilon * noise(first_step + k)
        return k + 1, x, drift, path.write(k + 1, x) if keep_path else path

    _, images, drift, path = tf.while_loop(
        lambda k, *_: k < num_steps,
        step,
        (tf.constant(0), images, tf.zeros_like(images), path),
        parallel_iterations=1,
    )
    return Chain(images, image_norms(drift), path.stack() if keep_path else None)


def gradient_of(potential: Potential, images: tf.Tensor) -> tf.Tensor:
    """Return grad U for each image: (b, h, w, c) -> (b, h, w, c)."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        total = tf.reduce_sum(potential(images))
    return tape.gradient(total, images)  # pyright: ignore[reportReturnType]  # no slices


def image_norms(images: tf.Tensor) -> tf.Tensor:
    """Return the L2 norm of each image: (b, h, w, c) -> (b,)."""
    return tf.sqrt(tf.reduce_sum(tf.square(images), axis=(1, 2, 3)))


def share_saturated(images: tf.Tensor) -> tf.Tensor:
    """Return, for each image, the share of values outside [-1.25, 1.25]: (b, h, w, c) -> (b,)."""
    return tf.reduce_mean(tf.cast(tf.abs(images) > 1.25, tf.float32), axis=(1, 2, 3))
