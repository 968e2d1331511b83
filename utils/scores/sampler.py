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
    """The chains of a process: images (b, h, w, c); trace (b, records, columns)."""

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
        size, seed = self.config["batch_size"], self.config["seed"]
        if batch != self._next:
            self._coming = evaluation_batches(
                self.dataset, size, seed=seed, purpose=Purpose.CHAIN_DATA, start=batch,
                count=self.config["num_samples"],
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
        self.chains = ChainStates(np.zeros(0, np.float32), np.zeros(0, np.float32))
        self._start, self._run = replicas.spread(start), replicas.spread(run_chain)

    def numbers(self, batch: int) -> np.ndarray:
        """Return the numbers (b,) of this process's images in a batch."""
        size = self.config["batch_size"]
        return batch * size + np.arange(size, dtype=np.int32)[self.replicas.positions]

    def parts(self) -> dict[str, ChainStates]:
        """Return the chains by their name in a state, which holds the positions in the batch."""
        own = self.replicas.positions
        return {f"chain_{own.start}_{own.stop}": self.chains}

    def advance(self, segment: Segment) -> None:
        """Advance the chains of a batch by a segment, and record them; raises Diverged."""
        batch, first, last = segment[1:]
        if last == 0:
            self._begin(batch)
        images, record = self._run(
            *self._rows(batch), first_step=first, num_steps=last - first, noisy=True
        )
        require_finite(self.replicas, f"chains diverged before step {last}", images, record)
        self.chains.record(images, record)

    def finish(self, batch: int) -> np.ndarray:
        """Return the images (b, h, w, c) after `grad_steps` steps without noise; raises Diverged.

        The stored chains do not change.
        """
        steps = self.config["grad_steps"]
        if not steps:
            return self.chains.images
        images, record = self._run(*self._rows(batch), first_step=0, num_steps=steps, noisy=False)
        where = f"chains diverged in their {steps} 'grad_steps'"
        require_finite(self.replicas, where, images, record)
        return images

    def _begin(self, batch: int) -> None:
        """Put the chains of a batch at their starts."""
        if self._data is not None:
            images = self._data(batch)[self.replicas.positions]
        else:
            images = self._start(self.numbers(batch))
        self.chains.begin(images, len(COLUMNS))

    def _rows(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        return self.chains.images, self.numbers(batch)
