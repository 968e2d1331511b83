"""Persistent chains between updates, on the host: arrays and counter-based draws, no TensorFlow.

A bank has as many shelves as the whole batch has positions. Slot p of the bank is on the shelf of
position p mod `batch_size`, so the sizes of shelves differ by at most one slot. Each position draws
one slot of its own shelf. A process keeps the shelves of its positions, for any number of processes
and replicas.
"""

from typing import NamedTuple

import numpy as np

from utils.errors import UserError


class Drawn(NamedTuple):
    """Slots (b,) drawn from a bank, and copies of their contents.

    images: (b, h, w, c) floats; latents: (b, z) float32, z = 0 without a generator; counts: (b,)
    int64, in the unit of the bank; untouched: (b,) bool, True where never drawn before.
    """

    slots: np.ndarray
    images: np.ndarray
    latents: np.ndarray
    counts: np.ndarray
    untouched: np.ndarray


class Start(NamedTuple):
    """The start of chains: what was drawn, and (b,) bool, which are `rejuvenated`, which `fresh`.

    `age` (b,): updates that drew the chain since it began. Fresh chains, rejuvenated or never drawn
    before, burn in first.
    """

    slots: np.ndarray
    images: np.ndarray
    latents: np.ndarray
    age: np.ndarray
    rejuvenated: np.ndarray
    fresh: np.ndarray


class Shelves(NamedTuple):
    """The shelves of some `positions` of the whole batch, in a bank of `size` slots.

    A layer is one slot of every shelf; the last layer may have slots of the first shelves only.
    Arrays hold the layers of these shelves one after the other.
    """

    size: int
    batch_size: int
    positions: slice

    @property
    def layers(self) -> int:
        """Number of layers of the whole bank."""
        return -(-self.size // self.batch_size)

    @property
    def num_slots(self) -> int:
        """Number of slots of these shelves."""
        return self.rows(self.layers - 1).stop

    @property
    def width(self) -> int:
        """Number of these shelves."""
        return self.positions.stop - self.positions.start

    def rows(self, layer: int) -> slice:
        """Return the rows of a layer in the arrays."""
        slots = self.size - layer * self.batch_size - self.positions.start
        first = layer * self.width
        return slice(first, first + min(max(slots, 0), self.width))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw one row of every shelf, uniformly: (b,) rows, in the order of positions."""
        depths = -((np.arange(self.batch_size) - self.size) // self.batch_size)
        layers = rng.integers(depths)[self.positions]
        return layers * self.width + np.arange(self.width)


class Bank:
    """The states of persistent chains on some shelves, with their latents and counts.

    The unit of `counts` is the script's: in train.py updates since the last rejuvenation, in
    train_longrun.py Langevin steps so far (update bank) or draws so far (burn-in bank). An update
    reads and writes b rows; its time does not depend on the size of the bank.
    """

    def __init__(self, shelves: Shelves, images: np.ndarray, latents: np.ndarray | None = None):
        size = len(images)
        self.shelves, self.images = shelves, images
        self.latents = np.zeros((size, 0), np.float32) if latents is None else latents
        self.counts = np.zeros(size, np.int64)
        self.untouched = np.ones(size, bool)

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw a slot for each position."""
        slots = self.shelves.draw(rng)
        return Drawn(
            slots,
            self.images[slots],
            self.latents[slots],
            self.counts[slots],
            self.untouched[slots],
        )

    def put(
        self, slots: np.ndarray, images: np.ndarray, latents: np.ndarray, counts: np.ndarray
    ) -> None:
        """Write back to the slots (b,): images (b, h, w, c), latents (b, z), counts (b,)."""
        self.images[slots] = images
        self.latents[slots] = latents
        self.counts[slots] = counts
        self.untouched[slots] = False

    def parts(self, name: str) -> dict[str, "Bank"]:
        """Return the bank as a part of a state; its name ends with the positions of its shelves."""
        positions = self.shelves.positions
        return {f"{name}_{positions.start}_{positions.stop}": self}

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays that a resumed run needs, not copies of them."""
        names = ("images", "latents", "counts", "untouched")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state`; raises ValueError for arrays of another shape."""
        for name, array in self.state().items():
            if state[name].shape != array.shape:
                raise ValueError(f"{name} has shape {state[name].shape}, not {array.shape}")
            setattr(self, name, state[name])


def choose_rejuvenated(
    age: np.ndarray, probability: float, max_updates: int, draws: np.ndarray
) -> np.ndarray:
    """Return (b,) bool: states chosen with `probability`, or older than `max_updates` (if > 0).

    `age` (b,): updates that drew the chain since it began; `draws` (b,) are uniform in [0, 1).
    """
    chosen = draws < probability
    return chosen | (age > max_updates) if max_updates > 0 else chosen


def redraw_counts(bank: Bank, threshold: int, rng: np.random.Generator) -> None:
    """Draw new counts 0..threshold-1 for a burn-in bank, so that images leave it steadily."""
    shelves = bank.shelves
    whole = rng.integers(threshold, size=(shelves.layers, shelves.batch_size))
    bank.counts = whole[:, shelves.positions].ravel()[: shelves.num_slots]


def make_shelves(size: int, batch_size: int, positions: slice, name: str) -> Shelves:
    """Return the shelves of some positions; raises UserError if `size` is below `batch_size`."""
    if size < batch_size:
        raise UserError(
            f"'{name}' {size} is below 'batch_size' {batch_size}: each image of a batch needs a "
            f"slot of its own; use at least {batch_size}"
        )
    return Shelves(size, batch_size, positions)
