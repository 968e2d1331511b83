"""The norm ball of an attack's budget: steps, projection and random points, for `linf` and `l2`.

Images are (..., h, w, c) in [-1, 1]; radii and step sizes are in the same units.
"""

from typing import NamedTuple

import numpy as np

FILLINGS = 8  # rounds that make up for clipped values
PER_255 = 2 / 255  # config values are in 1/255 of the range [0, 1]


class Ball(NamedTuple):
    """The images that an attack may reach from one image, the `center` (h, w, c)."""

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
        """Return a random image at the full radius."""
        return random_at_radius(self.center[np.newaxis], self.radius, self.norm, [rng])[0]


def step_up(images: np.ndarray, gradient: np.ndarray, size: float, norm: str) -> np.ndarray:
    """Return images after a step of `size` in the direction of steepest ascent in the norm."""
    if norm == "linf":
        return images + np.float32(size) * np.sign(gradient)
    return images + np.float32(size) * gradient / np.maximum(l2_norms(gradient), 1e-30)


def project(images: np.ndarray, centers: np.ndarray, radius: float, norm: str) -> np.ndarray:
    """Return images projected into the ball around `centers` and into [-1, 1].

    For `linf` this is the nearest image. For `l2` images are clipped to [-1, 1] first and then
    scaled towards the center, so that saturated values use up none of the budget.
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
    """Return uniform random points of the balls, clipped to [-1, 1]; one generator per image."""
    changes = [_uniform_in_ball(rng, centers.shape[1:], norm) for rng in rngs]
    return project(centers + radius * np.stack(changes), centers, radius, norm)


def random_at_radius(
    centers: np.ndarray, radius: float, norm: str, rngs: list[np.random.Generator]
) -> np.ndarray:
    """Return random points at the full radius: corners for `linf`, the sphere for `l2`.

    They are clipped to [-1, 1]; for `l2` the other values then grow until the radius is full. There
    is one generator per image.
    """
    changes = radius * np.stack([_at_radius(rng, centers.shape[1:], norm) for rng in rngs])
    for _ in range(FILLINGS if norm == "l2" else 0):
        changes = np.clip(centers + changes, -1, 1) - centers
        changes = changes * radius / np.maximum(l2_norms(changes), 1e-30)
    return project(centers + changes, centers, radius, norm)


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
