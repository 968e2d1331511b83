"""The Square attack (Andriushchenko et al. 2020): random search by squares, without gradients."""

import itertools
import math

import numpy as np

from utils.attack.balls import Ball, l2_norms
from utils.attack.task import Search, Task

FIRST_SHARE = 0.8  # of the pixels, covered by the first square
HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the search: its area halves
GRID = 5  # tiles per side of the first perturbation in L2


def square(task: Task) -> Search:
    """Change a random square, and undo the change if it does not raise the loss.

    The last image that it yields is the best one.
    """
    linf = task.ball.norm == "linf"
    begin, change = (stripes, colour_square) if linf else (tiles, move_energy)
    best, highest = task.ball.center, -math.inf
    image = begin(task.ball, task.rng(0))
    for number in itertools.count(1):
        seen = yield image
        if seen.loss > highest:
            best, highest = image, seen.loss
        side = side_of_square((number - 1) / max(task.steps, 1), image.shape)
        last = number >= task.steps
        image = best if last else change(task.ball, best, side, task.rng(number))


def side_of_square(progress: float, shape: tuple[int, ...]) -> int:
    """Return the side of the square after a share `progress` of the search: it shrinks to 1."""
    share = FIRST_SHARE / 2 ** sum(progress > mark for mark in HALVINGS)
    return max(1, min(round(math.sqrt(share * shape[0] * shape[1])), *shape[:2]))


def stripes(ball: Ball, rng: np.random.Generator) -> np.ndarray:
    """Return the center plus vertical stripes of the full radius, with random signs."""
    return ball.project(ball.center + ball.radius * _signs(rng, (1, *ball.center.shape[1:])))


def colour_square(ball: Ball, image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return the image with one square moved to the ball's edge, a random sign per channel."""
    changed, window = image.copy(), _window(image.shape, side, rng)
    changed[window] = ball.center[window] + ball.radius * _signs(rng, (1, 1, image.shape[2]))
    return ball.project(changed)


def tiles(ball: Ball, rng: np.random.Generator) -> np.ndarray:
    """Return the center plus a grid of bumps, whose L2 norm is the radius."""
    height, width, channels = ball.center.shape
    change, side = np.zeros(ball.center.shape), max(1, min(height, width) // GRID)
    margins = (max(0, (size - GRID * side) // 2) for size in (height, width))
    corners = (
        range(margin, size - side + 1, side)[:GRID]
        for margin, size in zip(margins, (height, width), strict=True)
    )
    for top, left in itertools.product(*corners):
        window = (slice(top, top + side), slice(left, left + side))
        change[window] = bump(side, rng) * _signs(rng, (1, 1, channels))
    return _of_full_size(ball, change)


def move_energy(ball: Ball, image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return the image with one window's budget, and the unused budget, moved to another window."""
    change, channels = (image - ball.center).astype(np.float64), image.shape[2]
    to, source = (_window(image.shape, max(side, 3) | 1, rng) for _ in range(2))  # of odd sides
    unused = max(0.0, ball.radius**2 - np.sum(change**2)) / channels
    both = np.zeros(image.shape, bool)
    both[to] = both[source] = True
    available = np.sqrt(np.sum(np.where(both, change, 0) ** 2, axis=(0, 1)) + unused)
    kept = change[to] / np.maximum(np.sqrt(np.sum(change[to] ** 2, axis=(0, 1))), 1e-9)
    shape = bump(len(kept), rng) * _signs(rng, (1, 1, channels)) + kept
    change[source] = 0
    change[to] = shape * available / np.maximum(np.sqrt(np.sum(shape**2, axis=(0, 1))), 1e-9)
    return _of_full_size(ball, change)


def bump(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a positive and a negative peak side by side: (side, side, 1), of L2 norm 1."""
    first = side // 2
    halves = [_peak(first, side), -_peak(side - first, side)]
    change = np.concatenate([half for half in halves if half.size])
    change = change.T if rng.random() < 0.5 else change
    return (change / np.linalg.norm(change))[..., np.newaxis]


def _peak(height: int, width: int) -> np.ndarray:
    """Return a peak (height, width): from ring k - 1 around its middle to ring k it falls by 1/k^2.

    A ring has one Chebyshev distance from the middle, (height // 2, width // 2).
    """
    rows, columns = (np.abs(np.arange(n) - n // 2) for n in (height, width))
    rings = np.maximum(rows[:, np.newaxis], columns)
    most = max(height, width) // 2 + 1
    return np.cumsum(1 / np.arange(most, 0, -1) ** 2)[most - 1 - rings]


def _window(shape: tuple[int, ...], side: int, rng: np.random.Generator) -> tuple[slice, slice]:
    side = min(side, *shape[:2])
    top, left = (int(rng.integers(size - side + 1)) for size in shape[:2])
    return slice(top, top + side), slice(left, left + side)


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 2.0 * rng.integers(2, size=shape) - 1


def _of_full_size(ball: Ball, change: np.ndarray) -> np.ndarray:
    full = change * ball.radius / np.maximum(l2_norms(change), 1e-30)
    return ball.project(ball.center + full)
