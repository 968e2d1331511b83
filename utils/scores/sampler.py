"""The batches of evaluation chains: from image numbers over the replicas to arrays on the host."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.data.streams import Dataset, evaluation_batches
from utils.errors import Diverged, UserError
from utils.mcmc.image_chains import Starts
from utils.replicas import Replicas
from utils.scores.segments import Chains, ChainStates, joined
from utils.scores.validity import COLUMNS
from utils.seeds import Purpose


class Sampler:
    """Chains batch by batch: batch j holds the images from number j `batch_size` on.

    `start(numbers)` gives one replica's first images, unless a `dataset` gives them;
    `run_chain(images, numbers, first_step, num_steps, noisy)` its images later and a look at them.
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
        self._next = None  # the batch of data that `_coming` gives next
        self._start = replicas.each(start)
        self._run = replicas.each(
            lambda first, steps, noisy, *rows: run_chain(*rows, first, steps, noisy)
        )
        if dataset is not None and dataset.num_examples < config["num_samples"]:
            raise UserError(
                f"data set {dataset.name} has {dataset.num_examples} images to start chains "
                f"from, not 'num_samples' {config['num_samples']}"
            )

    def numbers(self, batch: int) -> list[np.ndarray]:
        """Return the numbers of the images of each local replica in a batch."""
        first = batch * self.config["batch_size"]
        batch, own = self.replicas.batch, np.arange(self.replicas.batch, dtype=np.int32)
        return [first + replica * batch + own for replica in self.replicas.local]

    def begin(self, batch: int) -> Chains:
        """Return the chains of a batch at their starts."""
        numbers = self.numbers(batch)
        if self.dataset is not None:
            images = self._data(self.dataset, batch)
            starts = [images[n % len(images)] for n in numbers]
        else:
            starts = self._start((), numbers)
        chains = {
            replica: ChainStates(images, np.zeros((len(images), 0, len(COLUMNS)), np.float32))
            for replica, images in zip(self.replicas.local, starts, strict=True)
        }
        return self.advance(batch, chains, 0, 0)

    def advance(self, batch: int, chains: Chains, first: int, steps: int) -> Chains:
        """Return the chains of a batch `steps` Langevin steps after `first`; raises Diverged."""
        ends = self._on_replicas(batch, chains, first, steps, noisy=True)
        self._require_finite(ends, f"before step {first + steps}")
        later = {}
        for (replica, states), (images, look) in zip(chains.items(), ends, strict=True):
            trace = np.concatenate([states.trace, look[:, np.newaxis]], axis=1)
            later[replica] = ChainStates(images, trace)
        return later

    def finish(self, batch: int, chains: Chains) -> np.ndarray:
        """Return the images `grad_steps` steps without noise later; raises Diverged.

        The chains stay as they are.
        """
        steps = self.config["grad_steps"]
        if not steps:
            return joined(chains, "images")
        ends = self._on_replicas(batch, chains, 0, steps, noisy=False)
        self._require_finite(ends, f"in their {steps} 'grad_steps'")
        return np.concatenate([images for images, _ in ends])

    def _require_finite(self, ends: list[tuple[np.ndarray, np.ndarray]], where: str) -> None:
        """Raise Diverged, on all workers, if an image or what is seen of it is NaN or Inf."""
        harmed = sum(not np.isfinite(array).all() for end in ends for array in end)
        if self.replicas.total(harmed):
            raise Diverged(f"chains diverged {where}: an energy or a pixel is NaN or Inf")

    def _on_replicas(
        self, batch: int, chains: Chains, first: int, steps: int, *, noisy: bool
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        images = [states.images for states in chains.values()]
        return self._run((first, steps, noisy), images, self.numbers(batch))

    def _data(self, dataset: Dataset, batch: int) -> np.ndarray:
        """Return data to start a batch from, each image of the split at most once."""
        size = self.config["batch_size"]
        seed, purpose = self.config["seed"], Purpose.CHAIN_DATA
        if batch != self._next:
            self._coming = evaluation_batches(
                dataset, size, seed=seed, purpose=purpose, start=batch,
                count=self.config["num_samples"],
            )  # fmt: skip
        images, self._next = next(self._coming)[0], batch + 1
        return np.resize(images, (size, *self.config["image_dims"]))  # the last batch is filled up
