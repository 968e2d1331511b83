"""The sampler of a density run: it does the work of segments, and stores results per batch.

Segments measure images, run the config's chains, tune the pilot, or anneal chains.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from utils.data.sets import Dataset
from utils.density.chains import (
    filled_up,
    make_annealing,
    make_base_draw,
    make_measure,
    make_starts,
)
from utils.density.gaussian import fit_gaussian, spread_of
from utils.density.outliers import ComparedImages
from utils.density.schedule import BETAS, ROUND, ROUNDS, Pilot, path_of, tuned
from utils.density.stages import FORWARD, IMAGES, PILOT, WALK, DensitySegment, density_segments
from utils.density.statistics import STATISTICS, ImageStatistics
from utils.images import NUM_SHOWN, save_grid
from utils.mcmc.image_chains import Networks
from utils.mcmc.sampling import Sampling
from utils.replicas import Replicas
from utils.run.array_files import ArrayFiles
from utils.run.run import Run
from utils.scores.sampler import ChainStates, DataStarts, require_finite
from utils.scores.validity import COLUMNS

DATA = "data"  # start of the chains whose ends begin reverse annealing
MOST_CHAINS = 2**24  # of one start
ENDS, FEATURES = "ends", "features"  # stored per chain, in addition to the traces


class DensitySampler:
    """Advances chains segment by segment; `chains` and `pilot` are parts of the run's state."""

    def __init__(
        self,
        config: Mapping[str, Any],
        replicas: Replicas,
        networks: Networks,
        run_chain: Callable[..., Any],
        images: tuple[Dataset, ComparedImages],
    ):
        self.config, self.size, (dataset, self.pictures) = config, config["batch_size"], images
        self.statistics = ImageStatistics(config, replicas.pieces * len(replicas.local))
        self.chains, self.pilot = ChainStates(np.zeros(0, np.float32), np.zeros(0)), Pilot.empty()
        full = config["ais_base"] == "full"
        spread = spread_of(dataset, int(np.prod(config["image_dims"])), full=full)
        base, self._pixels = (
            fit_gaussian(spread, config["image_dims"], noise=config["data_epsilon"], full=kind)
            for kind in (full, False)
        )
        potential = Sampling.of_config(config).potential(networks.ebm, networks.prior)
        self._data = DataStarts(config, dataset)
        self._require_finite = functools.partial(require_finite, replicas)
        self._starts = make_starts(config, replicas, networks)
        self._walk = replicas.spread(functools.partial(run_chain, noisy=True))
        self._draw_base = make_base_draw(base, replicas, config["seed"])
        self._anneal = make_annealing(base, potential, replicas, config["seed"])
        self._measure = make_measure(base, potential, replicas)
        self.starts = [DATA, *self._starts]
        self.work = density_segments(config, self.pictures.names, self.starts)

    def begin(self, run: Run) -> None:
        """Store the results in the folder of this run from now on."""
        self.run = run

    def files(self, stage: str, of: str | int, what: str = "") -> ArrayFiles:
        """Return the stored arrays of a stage, one file per batch."""
        return self.run.files(f"{stage} {of} {what}".strip().replace(" ", "_").replace("/", "-"))

    def all_files(self) -> list[ArrayFiles]:
        """Return the stored arrays of all stages."""
        kept = [self.files(*stage) for stage in dict.fromkeys(own[:2] for own in self.work)]
        return kept + [self.files(WALK, of, w) for of in self.starts for w in (ENDS, FEATURES)]

    def rows(self, stage: str, of: str | int, what: str = "") -> np.ndarray:
        """Return the stored rows of a stage, without the padding of the last batch."""
        files = self.files(stage, of, what)
        return (
            files.get(0)
            if stage == IMAGES
            else np.concatenate([*files.rows(self.config["num_samples"])])
        )

    def advance(self, segment: DensitySegment) -> None:
        """Do the work of a segment; raises Diverged."""
        if segment.stage == IMAGES:
            self._measure_images(str(segment.of))
        elif segment.stage == PILOT:
            self._tune(segment.last)
        elif segment.stage == WALK:
            self._walk_on(segment)
        else:
            self._anneal_on(segment)

    def time(self, steps: int) -> Callable[[int], Any]:
        """Return a function that anneals a batch for `steps` steps, to be timed."""
        numbers = self._numbers(0)
        images = self._draw_base(numbers, stream=0)
        path = filled_up((np.zeros(steps + 1), np.full(steps, 1e-3)), 0, steps)
        return lambda _: self._anneal(images, numbers, stream=0, first=0, steps=steps, path=path)

    def _measure_images(self, name: str) -> None:
        rows = []
        for clean, noisy in self.pictures.batches(name, self.size):
            measured = self._measure(noisy)
            self._require_finite(f"images of '{name}'", measured)
            # Chains are noisy, so classes are those of noisy images; the baseline is not hampered.
            (classes, _), (_, doubts) = map(self.statistics.classify, (noisy, clean))
            pixels = self._pixels.potential(tf.constant(noisy)).numpy()
            rows.append(np.stack([*measured.T, pixels, doubts, classes], axis=1))
        self.files(IMAGES, name).put(0, np.concatenate(rows))

    def _walk_on(self, segment: DensitySegment) -> None:
        """Advance the config's own chains by a segment, and record them."""
        _, start, batch, first, last = segment
        numbers, start = self._numbers(batch), str(start)
        # Chains from different starts must not share noise.
        own = numbers + np.int32(self.starts.index(start) * MOST_CHAINS)
        if last == 0:
            images = self._data(batch) if start == DATA else self._starts[start](own)
            self.chains.begin(images, len(COLUMNS) + len(STATISTICS), np.float64)
        images, record = self._walk(
            self.chains.images, own, first_step=first, num_steps=last - first
        )
        self._require_finite(f"chains from {start} diverged before step {last}", images, record)
        seen, features = self.statistics(images)
        self.chains.record(images, np.concatenate([record, seen], axis=1))
        if last == self.config["mcmc_steps"]:
            self.files(WALK, start).put(numbers[0], self.chains.trace)
            self.files(WALK, start, ENDS).put(numbers[0], images)
            self.files(WALK, start, FEATURES).put(numbers[0], features)
            self._show(segment)

    def _tune(self, node: int) -> None:
        """Advance the pilot's chains to the next node; node 0 is the base."""
        numbers = self._numbers(0)
        beta, epsilon, rounds, steps = BETAS[node], self.config["data_epsilon"], 1, 0
        if node == 0:
            self.chains.begin(self._draw_base(numbers, stream=0), 4, np.float64)
        else:
            epsilon, rounds, steps = self.pilot.epsilons[-1], ROUNDS, ROUND
        for number in range(rounds):
            path = filled_up((np.full(ROUND + 1, beta), np.full(ROUND, epsilon)), 0, ROUND)
            images, record = self._anneal(
                self.chains.images, numbers,
                stream=0, first=(node * ROUNDS + number) * ROUND, steps=steps, path=path,
            )  # fmt: skip
            self._require_finite(f"chains of the pilot at b = {beta:.3g}", images, record)
            self.chains.images = images
            epsilon = tuned(epsilon, record[:, 1].mean()) if steps else epsilon
        self.pilot.add(epsilon, float(np.mean(record[:, 3] - record[:, 2])))

    def _anneal_on(self, segment: DensitySegment) -> None:
        """Advance annealed chains by a segment of their path."""
        stage, of, batch, first, last = segment
        numbers, steps, forward = self._numbers(batch), int(of), stage == FORWARD
        stream = 2 * steps + forward  # one per direction and number of steps
        if last == 0:
            if forward:
                starts = self._draw_base(numbers, stream=stream)
            else:
                starts = self.files(WALK, DATA, ENDS).get(numbers[0])
            self.chains.begin(starts, 4, np.float64)
        path = path_of(self.pilot, steps, forward=forward)
        images, record = self._anneal(
            self.chains.images, numbers,
            stream=stream, first=first, steps=last - first, path=filled_up(path, first, last),
        )  # fmt: skip
        self._require_finite(f"annealed chains before step {last}", images, record)
        self.chains.record(images, record * (1, last - first, 1, 1))  # counts accepted steps
        if last == steps:
            log_weights, accepted = self.chains.trace[..., :2].sum(axis=1).T
            rows = np.stack([log_weights, accepted / steps], axis=1)
            self.files(stage, steps).put(numbers[0], rows)
            self._show(segment)

    def _numbers(self, batch: int) -> np.ndarray:
        return np.arange(batch * self.size, (batch + 1) * self.size, dtype=np.int32)

    def _show(self, segment: DensitySegment) -> None:
        """Save a picture of the last states of the first batch."""
        if segment.batch == 0:
            name = f"{segment.stage} {segment.of} {segment.last}".replace(" ", "_")
            save_grid(self.chains.images[:NUM_SHOWN], self.run.path("images", f"{name}.png"))
