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

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import utils.before_tensorflow

import numpy as np

from utils.config.load import parse_command
from utils.data.sets import Dataset
from utils.data.streams import load_evaluation
from utils.errors import Diverged, one_line_errors
from utils.learning.learners import SavedNetwork
from utils.mcmc.image_chains import (
    Networks,
    Starts,
    create_networks,
    generated_starts,
    uniform_starts,
)
from utils.mcmc.noise import make_image_noise
from utils.mcmc.sampling import Sampling
from utils.replicas import Replicas
from utils.report.pages import write_own_page
from utils.run.folder import Inputs, files_of, require_same_inputs
from utils.run.records import ChainProgress
from utils.run.run import Run
from utils.run.training import time_update
from utils.scores.measure import TRAINING, Measure
from utils.scores.networks import Checkpoint, list_checkpoints, load_networks, resolved
from utils.scores.records import Records
from utils.scores.sampler import Sampler
from utils.scores.segments import Segment, count_batches, recorded_steps, segments
from utils.scores.validity import make_record
from utils.seeds import Purpose, fold_each


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Score the EBM of a config or draw its samples, or resume such a run."""
    command = parse_command("fid", __doc__, argv)
    replicas = Replicas(command.config)
    command = resolved(command)
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
    dataset = load_evaluation(config) if scores or from_data else None
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
    records = [Records(run, checkpoint, measure) for checkpoint in checkpoints]
    draw_samples(run, work, networks, sampler, records)
    if measure is not None and measure.report is not None:
        measure.report.print_best()
    write_own_page(run)


def draw_samples(
    run: Run,
    work: Sequence[Segment],
    networks: Networks,
    sampler: Sampler,
    records: Sequence[Records],
) -> None:
    """Draw samples segment by segment and score them; leave out checkpoints that diverge."""
    taken = [0, *itertools.accumulate(segment.last - segment.first for segment in work)]
    size, batches = run.config["batch_size"], count_batches(run.config)
    progress = ChainProgress(total=taken[-1], done=taken[run.step], images=size)
    loaded, per_checkpoint = records[0], len(work) // len(records)
    for step in run.steps():
        segment = work[step]
        own, end = records[segment.checkpoint], (segment.checkpoint + 1) * per_checkpoint - 1
        if own is not loaded:
            load_networks(networks, own.checkpoint)
            loaded = own
        try:
            sampler.advance(segment)
            own.put(segment, sampler)
            done = step
        except Diverged as error:
            own.leave_out(error)
            done = end
            progress.skip(taken[end + 1] - taken[step])
        else:
            if segment.last:
                text = f"{own.stem}batch {segment.batch + 1}/{batches}"
                progress.show(taken[step + 1], text)
            if step == end:
                own.score(networks)
        run.done(done)
        if done == end:
            run.drop(*own.files())
    left = [run.files(TRAINING), *(files for own in records for files in own.files())]
    run.drop(*left)  # also what a killed run left


def make_chain(config: Mapping[str, Any], networks: Networks) -> Callable[..., Any]:
    """Return the chains of one replica: images and their numbers -> images and a row of the trace.

    Images are (b, h, w, c) around [-1, 1]; the row is (b, 4), the columns of `validity.Trace`.
    """
    sampling = Sampling.of_config(config)
    potential = sampling.potential(networks.ebm, networks.prior)
    chain, record = sampling.chains(potential), make_record(potential, sampling.epsilon)

    def run_chain(images, numbers, first_step, num_steps, noisy):
        keys = fold_each(config["seed"], Purpose.EVALUATION, numbers)
        noise = make_image_noise(keys, images)
        images, grad_norms, _ = chain(
            images,
            num_steps=num_steps,
            noise=noise if noisy else None,
            first_step=first_step,
        )
        return images, record(images, grad_norms, noise(first_step + num_steps))

    return run_chain


def make_start(config: Mapping[str, Any], networks: Networks) -> Starts:
    """Return image numbers -> the starts of their chains, for starts that are not data."""
    if networks.gen is not None:  # `mcmc_init` is coop
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


def time_segments(
    config: Mapping[str, Any], networks: Networks, sampler: Sampler, num_checkpoints: int
) -> None:
    """Print the time that a run takes, measured on the longest segments."""
    sampler.advance(Segment(0, 0, 0, 0))
    steps = int(max(np.diff(recorded_steps(config)), default=0))
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
