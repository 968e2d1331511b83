"""Derivatives through a purification: every Langevin step pulled back, exactly or smoothed."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from utils.mcmc.langevin import gradient_of
from utils.mcmc.potential import Potential

HessianProduct = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # images, directions -> H directions


def exact_hessian_product(potential: Potential) -> HessianProduct:
    """Return (x, v) -> Hess U(x) v, the gradient of <grad U(x), v>.

    It is 0 almost everywhere for networks of relu and mean pooling.
    """

    def product(images: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(images)
            along = tf.reduce_sum(gradient_of(potential, images) * directions)
        zero = tf.UnconnectedGradients.ZERO
        return outer.gradient(along, images, None, zero)  # pyright: ignore[reportReturnType]  # same

    return product


def smoothed_hessian_product(potential: Potential, epsilon: float) -> HessianProduct:
    """Return (x, v) -> the central difference of grad U along v, over the Langevin noise's reach.

    An image is moved by epsilon a pixel (root mean square) to each side, as far as a step's noise
    moves it; so the kinks of a piecewise linear U count, as the chain sees them on average.
    """

    def product(images: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
        size = tf.cast(tf.size(images[0]), images.dtype)
        norms = tf.sqrt(tf.reduce_sum(directions**2, axis=(1, 2, 3), keepdims=True))
        reach = epsilon * tf.sqrt(size)
        shift = reach * tf.math.divide_no_nan(directions, norms)
        ahead = gradient_of(potential, images + shift)
        behind = gradient_of(potential, images - shift)
        return (ahead - behind) * norms / (2 * reach)

    return product


def through(
    path: tf.Tensor,
    slopes: tf.Tensor,
    classify: Callable[[tf.Tensor], tf.Tensor],
    hessian_product: HessianProduct,
    epsilon: float,
) -> tf.Tensor:
    """Return the derivative by a chain's start of a loss of `slopes` by the logits of its end."""
    at_the_end = gradient_of(lambda x: classify(x) * slopes, path[-1])
    return pull_back(path, at_the_end, hessian_product, epsilon)


def pull_back(
    path: tf.Tensor, slopes: tf.Tensor, hessian_product: HessianProduct, epsilon: float
) -> tf.Tensor:
    """Return the derivative by a chain's start of what has derivative `slopes` by its end.

    A step's Jacobian is I - (eps^2/2) Hess U, symmetric, at the state before it. `path` is
    (steps + 1, n, h, w, c) of `langevin`; nothing but it is kept (no activations).
    """

    def back(k: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return k - 1, v - (epsilon**2 / 2) * hessian_product(path[k], v)

    last = tf.shape(path)[0] - 2  # the state before the last step
    _, slopes = tf.while_loop(lambda k, _: k >= 0, back, (last, slopes), parallel_iterations=1)
    return slopes


def chains_in_memory(shape: list[int], steps: int, gigabytes: float) -> int:
    """Return how many float32 chains of `steps` steps fit, each kept as it grows and as a whole."""
    bytes_per_chain = 2 * 4 * (steps + 1) * int(np.prod(shape))
    return max(1, int(gigabytes * 1e9 / bytes_per_chain))
