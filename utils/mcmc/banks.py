"""Persistent chains between updates, on the host: arrays and counter-based draws, no TensorFlow.

A bank has as many shelves as the whole batch has positions. Place p of the bank is on the shelf of
position p mod `batch_size`, so that shelves differ by one place at most; each position draws one
place of its own shelf. A process keeps the shelves of its positions, however many processes and
replicas there are.
"""

from typing import NamedTuple

import numpy as np

from utils.errors import UserError


class Drawn(NamedTuple):
    """Places (b,) drawn from a bank and copies of what lies there.

    images: (b, h, w, c) floats; latents: (b, z) float32, z = 0 without a generator; counts: (b,)
    updates since the last rejuvenation; untouched: (b,) bool, True where never drawn before.
    """

    places: np.ndarray
    images: np.ndarray
    latents: np.ndarray
    counts: np.ndarray
    untouched: np.ndarray


class Start(NamedTuple):
    """What chains start from: `Drawn`, and (b,) bool: who starts anew, burns in."""

    places: np.ndarray
    images: np.ndarray
    latents: np.ndarray
    counts: np.ndarray
    rejuvenated: np.ndarray
    fresh: np.ndarray


class Shelves(NamedTuple):
    """The shelves of some `positions` of the whole batch, of a bank of `size` places.

    A layer is one place of every shelf, the last one of the first shelves only. Arrays hold the
    layers of these shelves one after the other.
    """

    size: int
    batch_size: int
    positions: slice

    @property
    def layers(self) -> int:
        """How many layers the whole bank has."""
        return -(-self.size // self.batch_size)

    @property
    def num_places(self) -> int:
        """How many places these shelves have."""
        return self.rows(self.layers - 1).stop

    @property
    def width(self) -> int:
        """How many shelves these are."""
        return self.positions.stop - self.positions.start

    def rows(self, layer: int) -> slice:
        """Return which rows of the arrays a layer takes."""
        places = self.size - layer * self.batch_size - self.positions.start
        first = layer * self.width
        return slice(first, first + min(max(places, 0), self.width))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw one row of every shelf, uniformly: (b,) rows, in the order of positions."""
        depths = -((np.arange(self.batch_size) - self.size) // self.batch_size)
        layers = rng.integers(depths)[self.positions]
        return layers * self.width + np.arange(self.width)


class Bank:
    """The states of persistent chains on some shelves, with their latents and update counts.

    An update reads and writes b rows; nothing here takes time in proportion to the bank.
    """

    def __init__(self, shelves: Shelves, images: np.ndarray, latents: np.ndarray | None = None):
        size = len(images)
        self.shelves, self.images = shelves, images
        self.latents = np.zeros((size, 0), np.float32) if latents is None else latents
        self.counts = np.zeros(size, np.int64)
        self.untouched = np.ones(size, bool)

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw a place for each position."""
        places = self.shelves.draw(rng)
        return Drawn(
            places,
            self.images[places],
            self.latents[places],
            self.counts[places],
            self.untouched[places],
        )

    def put(
        self, places: np.ndarray, images: np.ndarray, latents: np.ndarray, counts: np.ndarray
    ) -> None:
        """Write rows back to the drawn places."""
        self.images[places] = images
        self.latents[places] = latents
        self.counts[places] = counts
        self.untouched[places] = False

    def parts(self, name: str) -> dict[str, "Bank"]:
        """Return what must survive a resume, under a name that says whose shelves these are."""
        positions = self.shelves.positions
        return {f"{name}_{positions.start}_{positions.stop}": self}

    def state(self) -> dict[str, np.ndarray]:
        """Return what a resumed run needs (the arrays themselves, not copies)."""
        names = ("images", "latents", "counts", "untouched")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state`; raises ValueError when they are of another shape."""
        for name, array in self.state().items():
            if state[name].shape != array.shape:
                raise ValueError(f"{name} is {state[name].shape} where {array.shape} belongs")
            setattr(self, name, state[name])


def choose_rejuvenated(
    counts: np.ndarray, probability: float, max_updates: int, draws: np.ndarray
) -> np.ndarray:
    """Return (b,) bool: states drawn with `probability`, or older than `max_updates` (if > 0).

    `draws` are uniform in [0, 1), one for each.
    """
    chosen = draws < probability
    return chosen | (counts > max_updates) if max_updates > 0 else chosen


def redraw_counts(bank: Bank, threshold: int, rng: np.random.Generator) -> None:
    """Spread the counts of a burn-in bank over 0..threshold-1, so that images arrive steadily."""
    shelves = bank.shelves
    whole = rng.integers(threshold, size=(shelves.layers, shelves.batch_size))
    bank.counts = whole[:, shelves.positions].ravel()[: shelves.num_places]


def make_shelves(size: int, batch_size: int, positions: slice, name: str) -> Shelves:
    """Return the shelves of some positions; raises UserError for a bank below the batch size."""
    if size < batch_size:
        raise UserError(
            f"'{name}' {size} is below 'batch_size' {batch_size}: each image of a batch needs a "
            f"shelf of its own, use at least {batch_size}"
        )
    return Shelves(size, batch_size, positions)
