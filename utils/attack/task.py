"""The input and output of a search, which is a generator that attacks one image.

Once per round a search yields an image and receives what is `Seen` of it: the loss of the logits
averaged over purifications, and its gradient (EOT, Athalye et al. 2018). It ends when the image is
broken. It yields its first image in round 0, and its last one in round `steps`.
"""

from collections.abc import Callable, Generator
from typing import NamedTuple

import numpy as np

from utils.attack.balls import Ball


class Batch(NamedTuple):
    """Images (n, h, w, c) in [-1, 1], their (n,) labels, and their indices in the data set."""

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray

    def of(self, rows: np.ndarray) -> "Batch":
        """Return the images of these rows."""
        return Batch(*(array[rows] for array in self))


class Task(NamedTuple):
    """One image to attack: its ball, the start (h, w, c), and the number and size of the steps.

    `rng(round)` returns the generator of a round's random draws.
    """

    ball: Ball
    start: np.ndarray
    steps: int
    size: float
    rng: Callable[[int], np.random.Generator]


class Seen(NamedTuple):
    """The loss of an image and its gradient (h, w, c), which is empty for a black box."""

    loss: float
    gradient: np.ndarray


Search = Generator[np.ndarray, Seen, None]
