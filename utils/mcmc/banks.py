"""Persistent chains between updates, on the host: arrays and counter-based draws, no TensorFlow."""

from typing import NamedTuple

import numpy as np

from utils.errors import UserError


class Drawn(NamedTuple):
    """Places (b,) drawn from a bank and copies of what lies there.

    images: (b, h, w, c) float32; latents: (b, z) float32, z = 0 without a generator; counts: (b,)
    updates since the last rejuvenation; untouched: (b,) bool, True where never drawn before.
    """

    places: np.ndarray
    images: np.ndarray
    latents: np.ndarray
    counts: np.ndarray
    untouched: np.ndarray


class Start(NamedTuple):
    """What one replica's chains start from: `Drawn`, and (b,) bool: who starts anew, burns in."""

    places: np.ndarray
    images: np.ndarray
    latents: np.ndarray
    counts: np.ndarray
    rejuvenated: np.ndarray
    fresh: np.ndarray


class Bank:
    """The states of one replica's persistent chains, with their latents and update counts.

    An update reads and writes b rows; nothing here takes time in proportion to the bank.
    """

    def __init__(
        self,
        images: np.ndarray,
        latents: np.ndarray | None = None,
        counts: np.ndarray | None = None,
    ):
        size = len(images)
        self.images = images
        self.latents = np.zeros((size, 0), np.float32) if latents is None else latents
        self.counts = np.zeros(size, np.int64) if counts is None else counts
        self.untouched = np.ones(size, bool)

    def draw(self, batch: int, rng: np.random.Generator) -> Drawn:
        """Draw `batch` distinct places."""
        places = rng.choice(len(self.images), batch, replace=False)
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
    counts: np.ndarray, probability: float, max_updates: int, rng: np.random.Generator
) -> np.ndarray:
    """Return (b,) bool: states drawn with `probability`, or older than `max_updates` (if > 0)."""
    chosen = rng.random(len(counts)) < probability
    return chosen | (counts > max_updates) if max_updates > 0 else chosen


def redraw_counts(bank: Bank, threshold: int, rng: np.random.Generator) -> None:
    """Spread the counts of a burn-in bank over 0..threshold-1, so that images arrive steadily."""
    bank.counts = rng.integers(threshold, size=len(bank.counts))


def bank_share(size: int, batch: int, replicas: int, name: str = "persistent_size") -> int:
    """Return one replica's share of a bank of `size`, rounded down to a multiple of `batch`."""
    share = size // replicas // batch * batch
    if share == 0:
        raise UserError(
            f"'{name}' {size} has no room for a batch of {batch} on each of {replicas} replicas: "
            f"use at least {batch * replicas}"
        )
    return share
