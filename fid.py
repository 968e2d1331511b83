"""Score an EBM: draw samples by Langevin chains and tell how far they are from data.

    python3 fid.py configs_fid/emoji32_shortrun.py [--set KEY=VALUE ...] [--dry-run]
    python3 fid.py --resume RUN_DIR [--set KEY=VALUE ...]

Chains start at the generator's images (or data, or noise), run `mcmc_steps` Langevin steps, then
`grad_steps` without noise. Their images are compared with data in the features of `feature_net`,
by the Fréchet distance and by KID, after as many steps of one chain as `fid_steps` asks. `exp_type`
`folder` does so for each checkpoint of a training run and leaves out those whose chains diverge;
`sample` only draws and saves images.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.config.load import parse_command
from utils.data.sets import Dataset
from utils.data.streams import load_data
from utils.errors import Diverged, one_line_errors
from utils.files.whole import whole_file
from utils.images import save_grid, save_images
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
from utils.run.array_files import ArrayFiles
from utils.run.folder import Inputs, files_of, require_same_inputs
from utils.run.records import ChainProgress
from utils.run.training import time_update
from utils.scores.measure import Measure
from utils.scores.networks import Checkpoint, list_checkpoints, load_networks, resolve
from utils.scores.sampler import Sampler
from utils.scores.segments import Chains, EvaluationRun, Place, joined
from utils.scores.validity import Trace, data_energies, describe, make_look, save_trace
from utils.seeds import Purpose

NUM_SHOWN = 64  # images in a picture
LOOKS, LONGEST_SEGMENT = 20, 1000  # at the energy of a chain; steps from one to the next


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Score or draw as the command line says."""
    command = parse_command("fid", __doc__, argv)
    replicas = Replicas(command.config)
    if command.run_dir is None:
        command = dataclasses.replace(command, config=resolve(command.config))
    config = command.config
    checkpoints = list_checkpoints(config)
    networks = create_networks(config, replicas)
    scores, from_data = config["exp_type"] != "sample", config["mcmc_init"] == "data"
    dataset = load_data(config) if scores or from_data else None
    sampler = Sampler(
        config, replicas, make_start(config, networks), make_chain(config, networks),
        dataset if from_data else None,
    )  # fmt: skip
    for checkpoint in reversed(checkpoints):  # all of them: a wrong one is told before any chain
        load_networks(networks, checkpoint)
    measure = Measure(config, dataset) if scores else None
    inputs = list_inputs(config, checkpoints, dataset, measure)
    if command.dry_run:
        require_same_inputs(command, inputs)
        time_segments(config, networks, sampler, len(checkpoints))
        return

    run = EvaluationRun(command, replicas, inputs)
    with run.until_interrupted():
        if measure is not None:
            measure.begin(run)
        for number in range(run.place.checkpoint, len(checkpoints)):
            load_networks(networks, checkpoints[number])
            try:
                draw_samples(config, run, networks, sampler, measure, checkpoints[number].name)
            except Diverged as error:
                if measure is None or checkpoints[number].name is None:
                    raise
                measure.leave_out(checkpoints[number].name, str(error))
                run.go_to(Place(number + 1))
    if measure is not None and measure.report is not None:
        measure.report.tell_best()
    print(f"done: {run.folder}", flush=True)


def draw_samples(
    config: Mapping[str, Any],
    run: EvaluationRun,
    networks: Networks,
    sampler: Sampler,
    measure: Measure | None,
    name: str | None,
) -> None:
    """Draw all samples of one checkpoint, from where the run is, and score them."""
    stem = f"{name}_" if name else ""
    scored, looks = scored_steps(config), look_steps(config)
    features = {step: run.files(f"features_{step}") for step in scored}
    traces = run.files("traces")
    run.forget_what_follows({**features, math.inf: traces})

    def look(batch: int, step: int, chains: Chains) -> None:
        first = sampler.numbers(batch)[0][0]
        images = sampler.finish(batch, chains) if step else joined(chains, "images")
        images = images[: max(0, config["num_samples"] - first)]
        if batch == 0 and run.chief:
            save_grid(images[:NUM_SHOWN], run.path("images", f"{stem}grid_{step}.png"))
        if step in scored and len(images):
            if config["save_images"] or measure is None:
                save_images(images, run.path("images", f"{stem}samples_{step}"), first)
            if measure is not None:
                features[step].put(first, measure.extractor(images))

    number, rounds, steps = run.place.checkpoint, count_rounds(config), config["mcmc_steps"]
    done = run.place.batch * steps + run.place.step
    progress = ChainProgress(total=rounds * steps, done=done, images=config["batch_size"])
    for batch in range(run.place.batch, rounds):
        chains = run.chains
        if not chains:
            chains = sampler.begin(batch)
            look(batch, 0, chains)
        for first, last in itertools.pairwise(looks):
            if first >= run.place.step:
                chains = sampler.advance(batch, chains, first, last - first)
                if last in scored:
                    look(batch, last, chains)
                progress.show(batch * steps + last, f"{stem}batch {batch + 1}/{rounds}")
                run.go_to(Place(number, batch, last), chains)
        traces.put(sampler.numbers(batch)[0][0], joined(chains, "trace"))
        run.go_to(Place(number, batch + 1))
    data = measure and measure.dataset
    validity = tell_trace(config, run, networks, data, traces, stem) if run.chief else None
    if measure is not None:
        measure(name, features, validity)
    run.go_to(Place(number + 1))
    run.forget_what_follows({**features, math.inf: traces})


def make_chain(config: Mapping[str, Any], networks: Networks) -> Callable[..., Any]:
    """Return the chains of one replica: images and their numbers in; images and a look out.

    Images are (b, h, w, 3) around [-1, 1]; the look is (b, 4), the columns of `validity.Trace`.
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
    """Return image numbers -> the first states of their chains, for those that are not data."""
    if config["mcmc_init"] == "coop":
        return generated_starts(networks.gen, config["seed"])
    return uniform_starts(config["image_dims"], config["seed"])


def list_inputs(
    config: Mapping[str, Any],
    checkpoints: Sequence[Checkpoint],
    dataset: Dataset | None,
    measure: Measure | None,
) -> Inputs:
    """Return the data sets that a run reads and, in folder mode, the files of its checkpoints."""
    datasets, files = [dataset, measure and measure.held_out], {}
    if config["exp_type"] == "folder":
        own = [path for each in checkpoints for path in (each.ebm, each.gen) if path]
        own = [path for path in own if path != config["gen_weights"]]
        files["ckpt_folder"] = [file for path in own for file in files_of(path)]
    return Inputs([each for each in datasets if each is not None], files)


def scored_steps(config: Mapping[str, Any]) -> list[int]:
    """Return after how many steps samples are scored: `fid_steps`, and always the last one."""
    return sorted({*(config["fid_steps"] or []), config["mcmc_steps"]})


def look_steps(config: Mapping[str, Any]) -> list[int]:
    """Return the ends of segments: every `segment_steps`, and where samples are scored."""
    steps = config["mcmc_steps"]
    every = config["segment_steps"] or min(LONGEST_SEGMENT, max(1, steps // LOOKS))
    return sorted({*range(0, steps, every), *scored_steps(config), 0})


def count_rounds(config: Mapping[str, Any]) -> int:
    """Return the number of batches; of the last one, what is too much is left out."""
    return -(-config["num_samples"] // config["batch_size"])


def tell_trace(
    config: Mapping[str, Any],
    run: EvaluationRun,
    networks: Networks,
    dataset: Dataset | None,
    traces: ArrayFiles,
    stem: str,
) -> dict[str, Any] | None:
    """Save and draw what the chains showed; return the validity of the potential for the report.

    Without data, which samples alone do not need, there is none.
    """
    columns = np.moveaxis(np.concatenate(list(traces.batches())), -1, 0)[:, : config["num_samples"]]
    trace = Trace(np.array(look_steps(config)), *columns)
    trace.grad_norms[:, 0] = np.nan  # no step was taken
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
    """Tell what a run costs, by segments of the longest kind."""
    chains = sampler.begin(0)
    steps = int(max(np.diff(look_steps(config)), default=0))
    saved = {"ebm": SavedNetwork(networks.ebm, None, lambda _: {"type": config["net_type"]})}
    if networks.gen is not None:
        saved["gen"] = SavedNetwork(networks.gen, None, lambda _: {"type": config["gen_type"]})
    total = num_checkpoints * count_rounds(config) * math.ceil(config["mcmc_steps"] / max(1, steps))
    print(f"a segment: {steps} Langevin steps of {config['batch_size']} images")
    time_update(lambda _: sampler.advance(0, chains, 0, steps), total, saved, "segment")


if __name__ == "__main__":
    main()
