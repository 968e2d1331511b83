"""The ball of an attack's budget, in both norms: steps in it, projection, random points.

Images are (..., h, w, c) in [-1, 1]. A ball is given by its norm, `linf` or `l2`, and its radius in
these units; so is a step.
"""

from typing import NamedTuple

import numpy as np

PER_255 = 2 / 255  # config values are in 1/255 of the range [0, 1]


class Ball(NamedTuple):
    """The images that an attack may turn one image (h, w, c), the `center`, into."""

    center: np.ndarray
    radius: float
    norm: str

    def project(self, image: np.ndarray) -> np.ndarray:
        """Return an image in the ball and in [-1, 1]."""
        return project(image, self.center, self.radius, self.norm)

    def climb(self, image: np.ndarray, gradient: np.ndarray, size: float) -> np.ndarray:
        """Return the image after one projected step of steepest ascent."""
        return self.project(step_up(image, gradient, size, self.norm))

    def random_edge(self, rng: np.random.Generator) -> np.ndarray:
        """Return a random image as far out as an attack goes."""
        return random_at_radius(self.center[np.newaxis], self.radius, self.norm, [rng])[0]


def step_up(images: np.ndarray, gradient: np.ndarray, size: float, norm: str) -> np.ndarray:
    """Move each image by `size` to where the loss grows fastest in the norm."""
    if norm == "linf":
        return images + np.float32(size) * np.sign(gradient)
    return images + np.float32(size) * gradient / np.maximum(l2_norms(gradient), 1e-30)


def project(images: np.ndarray, centers: np.ndarray, radius: float, norm: str) -> np.ndarray:
    """Return images in the ball around `centers` and in [-1, 1], where the centers lie.

    For `linf` the nearest ones. For `l2` they are clipped to [-1, 1] and then drawn towards the
    center: so the budget is spent on pixels that can take it.
    """
    if norm == "linf":
        change = np.clip(images - centers, -radius, radius)
    else:
        change = np.clip(images, -1, 1) - centers
        change = change * np.minimum(1, radius / np.maximum(l2_norms(change), 1e-30))
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


def l2_norms(images: np.ndarray) -> np.ndarray:
    """Return the L2 norm of each image: (..., h, w, c) -> (..., 1, 1, 1)."""
    return np.sqrt(np.sum(images**2, axis=(-3, -2, -1), keepdims=True))


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
