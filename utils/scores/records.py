"""What a scoring run keeps of a checkpoint's chains, and what it makes of them in the end."""

from typing import Any

import numpy as np

from utils.errors import Diverged
from utils.files.npz import write_npz
from utils.images import NUM_SHOWN, save_grid, save_images, to_uint8
from utils.mcmc.image_chains import Networks
from utils.mcmc.sampling import Sampling
from utils.run.array_files import ArrayFiles
from utils.run.run import Run
from utils.scores.film import CHAINS, save_film
from utils.scores.measure import Measure
from utils.scores.nearest import QUERIES
from utils.scores.networks import Checkpoint
from utils.scores.sampler import Sampler
from utils.scores.segments import Segment, film_steps, recorded_steps, scored_steps, segment_ends
from utils.scores.validity import Trace, data_energies, describe, save_trace


class Records:
    """The records of a checkpoint's chains, one file per batch, which are kept until it is scored.

    Without a `measure`, images are saved instead of their features.
    """

    def __init__(self, run: Run, checkpoint: Checkpoint, measure: Measure | None):
        self.run, self.checkpoint, self.measure = run, checkpoint, measure
        self.stem = f"{checkpoint.name}_" if checkpoint.name else ""  # of the names of files
        self.features = {step: self._files(f"features_{step}") for step in scored_steps(run.config)}
        self.traces, self.film, self.first = map(self._files, ("traces", "film", "first"))

    def files(self) -> list[ArrayFiles]:
        """Return the files of all records."""
        return [*self.features.values(), self.traces, self.film, self.first]

    def put(self, segment: Segment, sampler: Sampler) -> None:
        """Record the end of a segment: a picture, images or their features, the film, the trace."""
        config, step, count = self.run.config, segment.last, self.run.config["num_samples"]
        first = sampler.numbers(segment.batch)[0]
        shows = segment.batch == 0 and self.run.chief
        if step == 0 or step in self.features:
            images = sampler.finish(segment.batch) if step else sampler.chains.images
            images = images[: max(0, count - first)]
            if shows:
                path = self.run.path("images", f"{self.stem}grid_{step}.png")
                save_grid(images[:NUM_SHOWN], path)
            if step in self.features and len(images):
                self._put_images(step, first, images)
        if shows and step in film_steps(config):
            self.film.put(step, to_uint8(sampler.chains.images[: min(CHAINS, count)]))
        if step == config["mcmc_steps"]:
            in_trace = np.isin(segment_ends(config, segment.batch), recorded_steps(config))
            self.traces.put(first, sampler.chains.trace[:, in_trace])

    def _put_images(self, step: int, first: int, images: np.ndarray) -> None:
        """Keep images of `step`, the first of which has the number `first`, or their features."""
        config = self.run.config
        if config["save_images"] or self.measure is None:
            save_images(images, self.run.path("images", f"{self.stem}samples_{step}"), first)
        if self.measure is not None:
            self.features[step].put(first, self.measure.extractor(images))
        if step == config["mcmc_steps"] and first < QUERIES:
            self.first.put(first, images[: QUERIES - first])

    def leave_out(self, error: Diverged) -> None:
        """Report that the checkpoint has no scores; raise the error unless there are others."""
        if self.measure is None or self.checkpoint.name is None:
            raise error
        self.measure.leave_out(self.checkpoint.name, str(error))

    def score(self, networks: Networks) -> None:
        """Report the chains of the checkpoint, and score its samples."""
        validity = None
        if self.run.chief:
            validity = self._report_trace(networks)
            if frames := {step: self.film.get(step) for step in self.film.numbers()}:
                save_film(frames, self.run.path("images", f"{self.stem}film.png"))
        if self.measure is not None:
            self.measure(self.checkpoint.name, self.features, self.first, validity)

    def _report_trace(self, networks: Networks) -> dict[str, Any] | None:
        """Save and plot the trace of the chains; return the validity of the potential.

        Without a measure there are no data to compare with; then return None.
        """
        run, config = self.run, self.run.config
        rows = np.concatenate(list(self.traces.rows(config["num_samples"])))
        trace = Trace(np.array(recorded_steps(config)), *np.moveaxis(rows, -1, 0))
        trace.grad_norms[:, 0] = np.nan  # before the first step
        write_npz(run.path("numpy", f"{self.stem}chains.npz"), trace._asdict())
        noise, of_data = config["data_epsilon"], None
        if self.measure is not None:
            potential = Sampling.of_config(config).potential(networks.ebm, networks.prior)
            of_data = data_energies(
                potential, self.measure.dataset, config["num_samples"],
                noise=noise, seed=config["seed"], batch=config["batch_size"],
            )  # fmt: skip
        save_trace(trace, of_data, run.path("plots", f"{self.stem}chains.png"))
        return None if of_data is None else describe(trace, of_data, scored_steps(config), noise)

    def _files(self, name: str) -> ArrayFiles:
        return self.run.files(self.stem + name)
