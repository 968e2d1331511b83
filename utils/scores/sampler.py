"""Evaluation chains, batch by batch: from image numbers, over the replicas, to host arrays."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.data.streams import Dataset, evaluation_batches
from utils.errors import Diverged, UserError
from utils.mcmc.image_chains import Starts
from utils.replicas import Replicas
from utils.scores.segments import Segment
from utils.scores.validity import COLUMNS
from utils.seeds import Purpose


@dataclasses.dataclass
class ChainStates:
    """One replica's chains: images (b, h, w, c); trace (b, records, 4) of `validity.COLUMNS`."""

    images: np.ndarray
    trace: np.ndarray

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays that a resumed run needs."""
        return {"images": self.images, "trace": self.trace}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Restore the arrays of `state`."""
        self.images, self.trace = state["images"], state["trace"]


class Sampler:
    """Runs chains batch by batch; batch j holds the images from number j * `batch_size` on.

    `start(numbers)` returns one replica's first images, unless they come from a `dataset`.
    `run_chain(images, numbers, first_step, num_steps, noisy)` returns its images after the steps,
    and a record (b, 4) of them. Raises UserError if the data set has too few images.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        replicas: Replicas,
        start: Starts,
        run_chain: Callable[..., Any],
        dataset: Dataset | None = None,
    ):
        self.config, self.replicas, self.dataset = config, replicas, dataset
        self.chains = {
            replica: ChainStates(np.zeros(0, np.float32), np.zeros(0, np.float32))
            for replica in replicas.local
        }
        self._next = None  # the batch of data that `_coming` gives next
        self._start = replicas.each(lambda numbers: replicas.by_pieces(start, numbers))
        self._run = replicas.each(
            lambda first, steps, noisy, *rows: replicas.by_pieces(
                lambda *own: run_chain(*own, first, steps, noisy), *rows
            )
        )
        if dataset is not None:
            require_starts(dataset, config["num_samples"])

    def numbers(self, batch: int) -> list[np.ndarray]:
        """Return the image numbers of each local replica in a batch."""
        first = batch * self.config["batch_size"]
        batch, own = self.replicas.batch, np.arange(self.replicas.batch, dtype=np.int32)
        return [first + replica * batch + own for replica in self.replicas.local]

    def parts(self) -> dict[str, ChainStates]:
        """Return the chains by their names in a state; a name holds the positions in the batch."""
        size = self.replicas.batch
        return {f"chain_{r * size}_{(r + 1) * size}": own for r, own in self.chains.items()}

    def advance(self, segment: Segment) -> None:
        """Advance the chains of a batch by a segment, and record them; raises Diverged."""
        batch, first, last = segment[1:]
        if last == 0:
            self._begin(batch)
        ends = self._on_replicas(batch, first, last - first, noisy=True)
        self._require_finite(ends, f"before step {last}")
        for chain, (images, look) in zip(self.chains.values(), ends, strict=True):
            chain.images = images
            chain.trace = np.concatenate([chain.trace, look[:, np.newaxis]], axis=1)

    def finish(self, batch: int) -> np.ndarray:
        """Return the images after `grad_steps` more steps without noise; raises Diverged.

        The stored chains do not change.
        """
        steps = self.config["grad_steps"]
        if not steps:
            return self.images()
        ends = self._on_replicas(batch, 0, steps, noisy=False)
        self._require_finite(ends, f"in their {steps} 'grad_steps'")
        return np.concatenate([images for images, _ in ends])

    def images(self) -> np.ndarray:
        """Return the images of all local replicas, in order."""
        return np.concatenate([chain.images for chain in self.chains.values()])

    def trace(self) -> np.ndarray:
        """Return the traces of all local replicas' chains, in order."""
        return np.concatenate([chain.trace for chain in self.chains.values()])

    def _begin(self, batch: int) -> None:
        """Put the chains of a batch at their starts."""
        numbers = self.numbers(batch)
        if self.dataset is not None:
            images = self._data(self.dataset, batch)
            starts = [images[n % len(images)] for n in numbers]
        else:
            starts = self._start((), numbers)
        for chain, images in zip(self.chains.values(), starts, strict=True):
            chain.images = images
            chain.trace = np.zeros((len(images), 0, len(COLUMNS)), np.float32)

    def _require_finite(self, ends: list[tuple[np.ndarray, np.ndarray]], where: str) -> None:
        """Raise Diverged, on all workers, if an image or its record holds NaN or Inf."""
        harmed = sum(not np.isfinite(array).all() for end in ends for array in end)
        if self.replicas.total(harmed):
            raise Diverged(f"chains diverged {where}: an energy or a pixel is NaN or Inf")

    def _on_replicas(
        self, batch: int, first: int, steps: int, *, noisy: bool
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        images = [chain.images for chain in self.chains.values()]
        return self._run((first, steps, noisy), images, self.numbers(batch))

    def _data(self, dataset: Dataset, batch: int) -> np.ndarray:
        """Return a batch of data as starts, each image of the split at most once."""
        size = self.config["batch_size"]
        seed, purpose = self.config["seed"], Purpose.CHAIN_DATA
        if batch != self._next:
            self._coming = evaluation_batches(
                dataset, size, seed=seed, purpose=purpose, start=batch,
                count=self.config["num_samples"],
            )  # fmt: skip
        images, self._next = next(self._coming)[0], batch + 1
        return np.resize(images, (size, *self.config["image_dims"]))  # the last batch is filled up


def require_starts(dataset: Dataset, chains: int) -> None:
    """Raise UserError for more chains than images of the data set that they start at."""
    if dataset.num_examples < chains:
        raise UserError(
            f"data set {dataset.name} has {dataset.num_examples} images to start chains from: set "
            f"'num_samples' {chains} to at most that"
        )
