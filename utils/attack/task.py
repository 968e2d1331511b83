"""What attacks are given and what they see; an attack itself is a generator over one image.

It yields the image that it wants looked at and is sent what was `Seen` of it, once a round, for as
long as the image stands; all expectations over purifications (EOT, Athalye et al. 2018) are taken
before. Its first image is looked at in round 0, and the one that it yields in round `steps` is its
last.
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
        """Return some of the images."""
        return Batch(*(array[rows] for array in self))


class Task(NamedTuple):
    """One image to attack: its ball, where to start, how many steps of what size.

    `rng(round)` gives the generator of what an attack draws in a round.
    """

    ball: Ball
    start: np.ndarray
    steps: int
    size: float
    rng: Callable[[int], np.random.Generator]


class Seen(NamedTuple):
    """The loss of an image and its gradient (h, w, c), which is empty in a black box."""

    loss: float
    gradient: np.ndarray


Search = Generator[np.ndarray, Seen, None]
