"""Evaluation chains, batch by batch: from image numbers, over the replicas, to host arrays."""

import dataclasses
import itertools
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

    def begin(self, images: np.ndarray, columns: int, dtype: type = np.float32) -> None:
        """Put the chains at their starts; their records will have `columns` columns."""
        self.images, self.trace = images, np.zeros((len(images), 0, columns), dtype)

    def record(self, images: np.ndarray, row: np.ndarray) -> None:
        """Take the new images of the chains, and a record (b, columns) of them."""
        self.images = images
        self.trace = np.concatenate([self.trace, row[:, np.newaxis]], axis=1)


class DataStarts:
    """Batches of data (batch_size, h, w, c) as starts; repeated images fill up the last one.

    Each image of the split is used once at most. Raises UserError if the data set has too few.
    """

    def __init__(self, config: Mapping[str, Any], dataset: Dataset):
        self.config, self.dataset = config, dataset
        self._next = None  # the batch that `_coming` gives next
        if dataset.num_examples < config["num_samples"]:
            raise UserError(
                f"data set {dataset.name} has {dataset.num_examples} images to start chains "
                f"from: set 'num_samples' {config['num_samples']} to at most that"
            )

    def __call__(self, batch: int) -> np.ndarray:
        """Return a batch."""
        size, count = self.config["batch_size"], self.config["num_samples"]
        if batch != self._next:
            self._coming = evaluation_batches(
                self.dataset, size, seed=self.config["seed"], purpose=Purpose.CHAIN_DATA,
                start=batch, count=count,
            )  # fmt: skip
        images, self._next = next(self._coming)[0], batch + 1
        return np.resize(images, (size, *self.config["image_dims"]))


def require_finite(replicas: Replicas, where: str, *arrays: np.ndarray) -> None:
    """Raise Diverged, on all workers, if an array of images or of records holds NaN or Inf."""
    if replicas.total(sum(not np.isfinite(array).all() for array in arrays)):
        raise Diverged(f"{where}: an energy or a pixel is NaN or Inf")


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
        self.config, self.replicas = config, replicas
        self._data = DataStarts(config, dataset) if dataset is not None else None
        self.chains = {
            replica: ChainStates(np.zeros(0, np.float32), np.zeros(0, np.float32))
            for replica in replicas.local
        }
        self._start = replicas.each(lambda numbers: replicas.by_pieces(start, numbers))
        self._run = replicas.each(
            lambda first, steps, noisy, *rows: replicas.by_pieces(
                lambda *own: run_chain(*own, first, steps, noisy), *rows
            )
        )

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
        where = f"chains diverged before step {last}"
        require_finite(self.replicas, where, *itertools.chain(*ends))
        for chain, end in zip(self.chains.values(), ends, strict=True):
            chain.record(*end)

    def finish(self, batch: int) -> np.ndarray:
        """Return the images after `grad_steps` more steps without noise; raises Diverged.

        The stored chains do not change.
        """
        steps = self.config["grad_steps"]
        if not steps:
            return self.images()
        ends = self._on_replicas(batch, 0, steps, noisy=False)
        where = f"chains diverged in their {steps} 'grad_steps'"
        require_finite(self.replicas, where, *itertools.chain(*ends))
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
        if self._data is not None:
            images = self._data(batch)
            starts = [images[n % len(images)] for n in numbers]
        else:
            starts = self._start((), numbers)
        for chain, images in zip(self.chains.values(), starts, strict=True):
            chain.begin(images, len(COLUMNS))

    def _on_replicas(
        self, batch: int, first: int, steps: int, *, noisy: bool
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        images = [chain.images for chain in self.chains.values()]
        return self._run((first, steps, noisy), images, self.numbers(batch))
