"""Score an EBM: draw samples by Langevin chains and measure how far they are from data.

    python3 fid.py configs_fid/emoji32_shortrun.py [--set KEY=VALUE ...]
    python3 fid.py configs_fid/emoji32_shortrun.py --dry-run
    python3 fid.py configs_fid/emoji32_shortrun.py --run-dir DIR
    python3 fid.py --resume RUN_DIR [--set KEY=VALUE ...]

Chains start at the generator's images (or data, or noise), run `mcmc_steps` Langevin steps, then
`grad_steps` without noise. Their images are compared with data in the features of `feature_net`,
by the Fréchet distance and by KID, also after the steps that `fid_steps` lists. With `exp_type`
`folder` this is done for each checkpoint of a training run; checkpoints whose chains diverge are
left out. `sample` only draws and saves images. `density` measures the density: log Z, likelihood,
convergence, modes and outliers.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import utils.before_tensorflow

import numpy as np

from utils.config.load import parse_command
from utils.data.sets import Dataset
from utils.data.streams import load_data
from utils.errors import Diverged, one_line_errors
from utils.files.whole import whole_file
from utils.images import save_grid, save_images, to_uint8
from utils.learning.learners import SavedNetwork
from utils.mcmc.image_chains import (
    Networks,
    Starts,
    create_networks,
    generated_starts,
    image_keys,
    uniform_starts,
)
from utils.mcmc.noise import make_image_noise
from utils.mcmc.sampling import Sampling
from utils.replicas import Replicas
from utils.report.pages import write_own_page
from utils.run.array_files import ArrayFiles
from utils.run.folder import Inputs, files_of, require_same_inputs
from utils.run.records import ChainProgress
from utils.run.run import Run
from utils.run.training import time_update
from utils.scores.film import CHAINS, save_film
from utils.scores.measure import TRAINING, Measure
from utils.scores.nearest import QUERIES
from utils.scores.networks import Checkpoint, list_checkpoints, load_networks, resolve
from utils.scores.sampler import Sampler
from utils.scores.segments import (
    Segment,
    count_batches,
    film_steps,
    look_steps,
    scored_steps,
    segment_ends,
    segments,
)
from utils.scores.validity import Trace, data_energies, describe, make_look, save_trace
from utils.seeds import Purpose

NUM_SHOWN = 64  # images per picture


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Score the EBM of a config or draw its samples, or resume such a run."""
    command = parse_command("fid", __doc__, argv)
    replicas = Replicas(command.config)
    if not command.resuming:
        command = dataclasses.replace(command, config=resolve(command.config))
    config = command.config
    checkpoints = list_checkpoints(config)
    networks = create_networks(config, replicas)
    if config["exp_type"] == "density":
        # Imported here: no other run needs its statistics packages.
        from utils.density.evaluation import measure_density

        load_networks(networks, checkpoints[0])
        measure_density(command, replicas, networks, make_chain(config, networks))
        return
    scores, from_data = config["exp_type"] != "sample", config["mcmc_init"] == "data"
    dataset = load_data(config) if scores or from_data else None
    sampler = Sampler(
        config, replicas, make_start(config, networks), make_chain(config, networks),
        dataset if from_data else None,
    )  # fmt: skip
    for checkpoint in reversed(checkpoints):  # a wrong one must be found before any chain runs
        load_networks(networks, checkpoint)
    pieces = replicas.pieces * len(replicas.local)
    # A run with scores has a data set.
    measure = Measure(config, dataset, pieces) if scores else None  # pyright: ignore[reportArgumentType]
    inputs = list_inputs(config, checkpoints, dataset, measure)
    if command.dry_run:
        require_same_inputs(command, inputs)
        time_segments(config, networks, sampler, len(checkpoints))
        return

    work = segments(config, len(checkpoints))
    run = Run(command, replicas, sampler.parts(), total=len(work), unit="segment", inputs=inputs)
    if measure is not None:
        with run.interruptible():
            measure.begin(run)
    draw_samples(run, work, checkpoints, networks, sampler, measure)
    if measure is not None and measure.report is not None:
        measure.report.tell_best()
    write_own_page(run)


class Records(NamedTuple):
    """What a run records of the chains of a checkpoint, one file per batch."""

    stem: str  # the beginning of the names of files
    features: dict[int, ArrayFiles]  # by step
    traces: ArrayFiles
    film: ArrayFiles  # by step
    first: ArrayFiles  # samples

    def files(self) -> list[ArrayFiles]:
        """Return all of them."""
        return [*self.features.values(), self.traces, self.film, self.first]


def open_records(run: Run, checkpoint: Checkpoint) -> Records:
    """Return the records of a checkpoint, which a run keeps until it is scored."""
    stem = f"{checkpoint.name}_" if checkpoint.name else ""
    features = {step: run.files(f"{stem}features_{step}") for step in scored_steps(run.config)}
    return Records(stem, features, *(run.files(f"{stem}{name}") for name in Records._fields[2:]))


def draw_samples(
    run: Run,
    work: Sequence[Segment],
    checkpoints: Sequence[Checkpoint],
    networks: Networks,
    sampler: Sampler,
    measure: Measure | None,
) -> None:
    """Draw samples segment by segment and score them; leave out checkpoints that diverge."""
    taken = [0, *itertools.accumulate(segment.last - segment.first for segment in work)]
    size, batches = run.config["batch_size"], count_batches(run.config)
    progress = ChainProgress(total=taken[-1], done=taken[run.step], images=size)
    loaded, records = 0, [open_records(run, checkpoint) for checkpoint in checkpoints]
    for number in run.steps():
        segment = work[number]
        own, name = records[segment.checkpoint], checkpoints[segment.checkpoint].name
        end = (segment.checkpoint + 1) * len(work) // len(checkpoints) - 1
        if loaded != segment.checkpoint:
            load_networks(networks, checkpoints[segment.checkpoint])
            loaded = segment.checkpoint
        try:
            sampler.advance(segment)
            record(run, sampler, measure, own, segment)
            if segment.last:
                text = f"{own.stem}batch {segment.batch + 1}/{batches}"
                progress.show(taken[number + 1], text)
            if number == end:
                score(run, networks, measure, name, own)
        except Diverged as error:
            if measure is None or name is None:
                raise
            measure.leave_out(name, str(error))
            number = end
        run.done(number)
        if number == end:
            run.drop(*own.files())
    left = [run.files(TRAINING), *(files for each in records for files in each.files())]
    run.drop(*left)  # also what a killed run left


def record(
    run: Run, sampler: Sampler, measure: Measure | None, records: Records, segment: Segment
) -> None:
    """Record the end of a segment: a picture, images or their features, the trace."""
    config, step = run.config, segment.last
    first = sampler.numbers(segment.batch)[0][0]
    if step == 0 or step in records.features:
        images = sampler.finish(segment.batch) if step else sampler.images()
        images = images[: max(0, config["num_samples"] - first)]
        if segment.batch == 0 and run.chief:
            save_grid(images[:NUM_SHOWN], run.path("images", f"{records.stem}grid_{step}.png"))
        if step in records.features and len(images):
            if config["save_images"] or measure is None:
                save_images(images, run.path("images", f"{records.stem}samples_{step}"), first)
            if measure is not None:
                records.features[step].put(first, measure.extractor(images))
            if segment.batch == 0 and step == config["mcmc_steps"] and run.chief:
                records.first.put(0, images[:QUERIES])
    if segment.batch == 0 and step in film_steps(config) and run.chief:
        records.film.put(step, to_uint8(sampler.images()[: min(CHAINS, config["num_samples"])]))
    if step == config["mcmc_steps"]:
        in_trace = np.isin(segment_ends(config, segment.batch), look_steps(config))
        records.traces.put(first, sampler.trace()[:, in_trace])


def score(
    run: Run, networks: Networks, measure: Measure | None, name: str | None, records: Records
) -> None:
    """Report the chains of a checkpoint, and score its samples."""
    data, validity = measure and measure.dataset, None
    if run.chief:
        validity = report_trace(run, networks, data, records)
        if frames := dict(zip(records.film.numbers(), records.film.batches(), strict=True)):
            save_film(frames, run.path("images", f"{records.stem}film.png"))
    if measure is not None:
        measure(name, records.features, records.first, validity)


def make_chain(config: Mapping[str, Any], networks: Networks) -> Callable[..., Any]:
    """Return the chains of one replica: images and their numbers -> images and a row of the trace.

    Images are (b, h, w, c) around [-1, 1]; the row is (b, 4), the columns of `validity.Trace`.
    """
    sampling = Sampling.of_config(config)
    potential = sampling.potential(networks.ebm, networks.prior)
    chain, look = sampling.chains(potential), make_look(potential, sampling.epsilon)

    def run_chain(images, numbers, first_step, num_steps, noisy):
        keys = image_keys(config["seed"], Purpose.EVALUATION, numbers)
        noise = make_image_noise(keys, images)
        images, grad_norms, _ = chain(
            images,
            num_steps=num_steps,
            noise=noise if noisy else None,
            first_step=first_step,
        )
        return images, look(images, grad_norms, noise(first_step + num_steps))

    return run_chain


def make_start(config: Mapping[str, Any], networks: Networks) -> Starts:
    """Return image numbers -> the starts of their chains, for starts that are not data."""
    if networks.gen is not None and config["mcmc_init"] == "coop":
        return generated_starts(networks.gen, config["seed"])
    return uniform_starts(config["image_dims"], config["seed"])


def list_inputs(
    config: Mapping[str, Any],
    checkpoints: Sequence[Checkpoint],
    dataset: Dataset | None,
    measure: Measure | None,
) -> Inputs:
    """Return the data sets that a run reads and, with `exp_type` folder, its checkpoint files."""
    datasets, files = [dataset, measure and measure.held_out], {}
    if config["exp_type"] == "folder":
        own = [path for each in checkpoints for path in (each.ebm, each.gen) if path]
        own = [path for path in own if path != config["gen_weights"]]
        files["ckpt_folder"] = [file for path in own for file in files_of(path)]
    return Inputs([each for each in datasets if each is not None], files)


def report_trace(
    run: Run, networks: Networks, dataset: Dataset | None, records: Records
) -> dict[str, Any] | None:
    """Save and plot the trace of the chains; return the validity of the potential for the report.

    Without a data set, which a run that only draws samples does not need, return None.
    """
    config, stem = run.config, records.stem
    rows = np.concatenate(list(records.traces.batches()))[: config["num_samples"]]
    trace = Trace(np.array(look_steps(config)), *np.moveaxis(rows, -1, 0))
    trace.grad_norms[:, 0] = np.nan  # before the first step
    with whole_file(run.path("numpy", f"{stem}chains.npz")) as path:
        np.savez(path, **trace._asdict())
    noise, of_data = config["data_epsilon"], None
    if dataset is not None:
        potential = Sampling.of_config(config).potential(networks.ebm, networks.prior)
        of_data = data_energies(
            potential, dataset, config["num_samples"],
            noise=noise, seed=config["seed"], batch=config["batch_size"],
        )  # fmt: skip
    save_trace(trace, of_data, run.path("plots", f"{stem}chains.png"))
    return None if of_data is None else describe(trace, of_data, scored_steps(config), noise)


def time_segments(
    config: Mapping[str, Any], networks: Networks, sampler: Sampler, num_checkpoints: int
) -> None:
    """Print the time that a run takes, measured on the longest segments."""
    sampler.advance(Segment(0, 0, 0, 0))
    steps = int(max(np.diff(look_steps(config)), default=0))
    saved = {"ebm": SavedNetwork(networks.ebm, None, lambda _: {"type": config["net_type"]})}
    if networks.gen is not None:
        saved["gen"] = SavedNetwork(networks.gen, None, lambda _: {"type": config["gen_type"]})
    total = (
        num_checkpoints * count_batches(config) * math.ceil(config["mcmc_steps"] / max(1, steps))
    )
    print(f"a segment: {steps} Langevin steps of {config['batch_size']} images")
    time_update(lambda _: sampler.advance(Segment(0, 0, 0, steps)), total, saved, "segment")


if __name__ == "__main__":
    main()
