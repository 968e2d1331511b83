"""Attacks: pieces of projected gradient ascent (Madry et al. 2018) on a purified classifier.

Images are (n, h, w, c) in [-1, 1]. A ball is given by its norm and its radius in these units; so is
a step. Expectations over purifications (EOT, Athalye et al. 2018) are taken by whoever calls.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from utils.mcmc.langevin import gradient_of
from utils.mcmc.potential import Potential

PER_255 = 2 / 255  # config values are in 1/255 of the range [0, 1]
HessianProduct = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # images, directions -> H directions


def step_up(images: np.ndarray, gradient: np.ndarray, size: float, norm: str) -> np.ndarray:
    """Move each image by `size` to where the loss grows fastest in the norm (`linf` or `l2`)."""
    if norm == "linf":
        return images + np.float32(size) * np.sign(gradient)
    return images + np.float32(size) * gradient / np.maximum(_l2_norms(gradient), 1e-30)


def project(images: np.ndarray, centers: np.ndarray, radius: float, norm: str) -> np.ndarray:
    """Return the nearest images in the ball around `centers`, then clipped to [-1, 1].

    Clipping stays in the ball, because the centers lie in [-1, 1].
    """
    change = images - centers
    if norm == "linf":
        change = np.clip(change, -radius, radius)
    else:
        change = change * np.minimum(1, radius / np.maximum(_l2_norms(change), 1e-30))
    return np.clip(centers + change, -1, 1).astype(centers.dtype)


def random_in_ball(
    centers: np.ndarray, radius: float, norm: str, rngs: list[np.random.Generator]
) -> np.ndarray:
    """Return uniform draws from the balls, one generator an image, clipped to [-1, 1]."""
    changes = [_uniform_in_ball(rng, centers.shape[1:], norm) for rng in rngs]
    return project(centers + radius * np.stack(changes), centers, radius, norm)


def random_at_radius(
    centers: np.ndarray, radius: float, norm: str, rngs: list[np.random.Generator]
) -> np.ndarray:
    """Return random points as far out as an attack goes: corners for `linf`, the sphere for `l2`.

    One generator an image; clipped to [-1, 1].
    """
    changes = [_at_radius(rng, centers.shape[1:], norm) for rng in rngs]
    return project(centers + radius * np.stack(changes), centers, radius, norm)


def _uniform_in_ball(rng: np.random.Generator, shape: tuple[int, ...], norm: str) -> np.ndarray:
    if norm == "linf":
        return 2 * rng.random(shape) - 1
    on_sphere = _at_radius(rng, shape, norm)
    return on_sphere * rng.random() ** (1 / on_sphere.size)


def _at_radius(rng: np.random.Generator, shape: tuple[int, ...], norm: str) -> np.ndarray:
    if norm == "linf":
        return 2.0 * rng.integers(2, size=shape) - 1
    direction = rng.standard_normal(shape)
    return direction / np.linalg.norm(direction)


def loss_slopes(logits: np.ndarray, labels: np.ndarray, loss: str) -> np.ndarray:
    """Return the derivative of each image's loss by its (n, classes) logits.

    `cross_entropy`: softmax - one-hot. `margin`, largest other logit - the label's: their one-hots.
    """
    classes = logits.shape[1]
    truth = np.eye(classes, dtype=np.float32)[labels]
    if loss == "margin":
        rival = np.where(truth > 0, -np.inf, logits).argmax(axis=1)
        return np.eye(classes, dtype=np.float32)[rival] - truth
    return tf.nn.softmax(logits).numpy() - truth


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


def _l2_norms(images: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(images**2, axis=(1, 2, 3), keepdims=True))
