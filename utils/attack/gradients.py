"""Gradients through a purification: backpropagation through every Langevin step."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from utils.mcmc.langevin import gradient_of
from utils.mcmc.potential import Potential

HessianProduct = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # images, directions -> H directions


def exact_hessian_product(potential: Potential) -> HessianProduct:
    """Return (x, v) -> Hess U(x) v, the gradient of <grad U(x), v>.

    For a network of ReLU and mean pooling it is 0 almost everywhere.
    """

    def product(images: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(images)
            along = tf.reduce_sum(gradient_of(potential, images) * directions)
        zero = tf.UnconnectedGradients.ZERO
        return outer.gradient(along, images, None, zero)  # pyright: ignore[reportReturnType]  # same

    return product


def smoothed_hessian_product(potential: Potential, epsilon: float) -> HessianProduct:
    """Return (x, v) -> the central difference of grad U along v, over the reach of a step's noise.

    Images move by epsilon per value (root mean square) to either side, as far as the noise of one
    step moves them. So the kinks of a piecewise linear U count as the chain meets them on average.
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
    """Return the gradient of a loss with respect to the start of a chain, (n, h, w, c).

    `slopes` (n, classes) is its derivative with respect to the logits at the chain's end.
    """
    at_the_end = gradient_of(lambda x: classify(x) * slopes, path[-1])
    return pull_back(path, at_the_end, hessian_product, epsilon)


def pull_back(
    path: tf.Tensor, slopes: tf.Tensor, hessian_product: HessianProduct, epsilon: float
) -> tf.Tensor:
    """Pull `slopes`, a gradient with respect to a chain's end, back to its start: (n, h, w, c).

    The Jacobian of a step is I - (eps^2/2) Hess U at the state before it, and symmetric. `path`
    (steps + 1, n, h, w, c) comes from `langevin`; no activations are kept.
    """

    def back(k: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return k - 1, v - (epsilon**2 / 2) * hessian_product(path[k], v)

    last = tf.shape(path)[0] - 2  # the state before the last step
    _, slopes = tf.while_loop(lambda k, _: k >= 0, back, (last, slopes), parallel_iterations=1)
    return slopes


def chains_in_memory(shape: list[int], steps: int, gigabytes: float) -> int:
    """Return how many float32 paths of `steps` steps fit; each is held twice while it is built."""
    bytes_per_chain = 2 * 4 * (steps + 1) * int(np.prod(shape))
    return max(1, int(gigabytes * 1e9 / bytes_per_chain))
