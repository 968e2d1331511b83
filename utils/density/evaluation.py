"""A density run, from its command to its report."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.config.load import Command
from utils.data.streams import load_evaluation, load_held_out
from utils.density import results
from utils.density.convergence import FEWEST
from utils.density.outliers import HELD_OUT, ComparedImages, open_outliers
from utils.density.report import DensityReport
from utils.density.sampler import FEATURES, DensitySampler
from utils.density.stages import FORWARD, IMAGES, PILOT, REVERSE, WALK, DensitySegment, walk_steps
from utils.devices.memory import free_memory
from utils.errors import UserError
from utils.mcmc.image_chains import Networks
from utils.replicas import Replicas
from utils.report.pages import write_own_page
from utils.run.folder import Inputs, require_same_inputs
from utils.run.records import ChainProgress
from utils.run.run import Run
from utils.run.training import time_update
from utils.scores.reference import reference_count

MATRICES = 7  # of D x D float64 values that the fit of a full covariance needs, measured
TIMED = 10  # steps of a segment for `--dry-run`


def measure_density(
    command: Command, replicas: Replicas, networks: Networks, run_chain: Callable[..., Any]
) -> None:
    """Evaluate the density exp(-U) of a config; `run_chain` comes from `fid.py`.

    Raises UserError for configs and data that cannot be evaluated, before any chain runs.
    """
    config = command.config
    _require_possible(config, replicas)
    dataset = load_evaluation(config)
    held_out = load_held_out(config, dataset)
    count, noise = reference_count(config), config["data_epsilon"]
    pictures = ComparedImages(held_out, open_outliers(config), count, noise, config["seed"])
    sampler = DensitySampler(config, replicas, networks, run_chain, (dataset, pictures))
    inputs, work = Inputs([dataset, held_out]), sampler.work
    taken = np.cumsum([0, *(segment.steps for segment in work)]).tolist()
    if command.dry_run:
        require_same_inputs(command, inputs)
        print(f"a segment: {TIMED} annealed steps of {config['batch_size']} images")
        time_update(sampler.time(TIMED), -(-taken[-1] // TIMED), {}, "segment")
        return

    parts = {"chains": sampler.chains, "pilot": sampler.pilot}
    run = Run(command, replicas, parts, total=len(work), unit="segment", inputs=inputs)
    sampler.begin(run)
    head = {"exp_type": "density", "extractor": sampler.statistics.extractor.label}
    report = DensityReport(run.folder, head)
    progress = None
    for step in run.steps():
        segment = work[step]
        sampler.advance(segment)
        if progress is None and segment.steps:  # the first one traces, and is left out of the rate
            done = taken[step + 1]
            progress = ChainProgress(total=taken[-1], done=done, images=config["batch_size"])
        elif progress is not None and segment.steps:
            progress.show(taken[step + 1], f"{segment.stage} {segment.of}".strip())
        if step + 1 == len(work) or work[step + 1][:2] != segment[:2]:
            report_stage(run, report, sampler, segment)
        run.done(step)
    run.drop(*sampler.all_files())
    write_own_page(run)


def report_stage(
    run: Run, report: DensityReport, sampler: DensitySampler, segment: DensitySegment
) -> None:
    """Report a finished stage; images and chains only after the last stage of their kind."""
    ends = {IMAGES: sampler.pictures.names[-1], WALK: sampler.starts[-1]}
    if segment.stage == PILOT or segment.of != ends.get(segment.stage, segment.of):
        return
    columns = {name: sampler.rows(IMAGES, name) for name in sampler.pictures.names}
    own, classified = columns[HELD_OUT], sampler.statistics.classifier is not None
    if segment.stage == IMAGES:
        results.report_images(run, report, columns, classified)
    elif segment.stage == WALK:
        traces = {start: sampler.rows(WALK, start) for start in sampler.starts}
        features = {start: sampler.rows(WALK, start, FEATURES) for start in sampler.starts}
        results.report_chains(run, report, traces, features, own[:, 0])
        results.report_modes(run, report, traces, own[:, -1], sampler.statistics.classes)
    else:
        done = sampler.work[: sampler.work.index(segment) + 1]
        stages = dict.fromkeys(each[:2] for each in done if each.stage in (FORWARD, REVERSE))
        annealed = {(way, int(steps)): sampler.rows(way, steps) for way, steps in stages}
        results.report_annealing(run, report, own, annealed)


def _require_possible(config: Mapping[str, Any], replicas: Replicas) -> None:
    """Raise UserError for problems that depend on the weights' sampling or on the devices."""
    if not config["data_epsilon"]:
        raise UserError(
            "'data_epsilon' is 0: data without noise have no density; set it to that of training"
        )
    if (records := len(walk_steps(config)) - 1) < FEWEST:
        raise UserError(
            f"'mcmc_steps' {config['mcmc_steps']} with 'segment_steps' {config['segment_steps']}: "
            f"{records} records of a chain cannot test convergence; longer chains or shorter "
            f"segments give the {FEWEST} that it needs"
        )
    size = math.prod(config["image_dims"])
    needed, free = MATRICES * 8 * size**2, free_memory()
    if config["ais_base"] == "full" and needed > free:
        raise UserError(
            f"'ais_base' 'full': a covariance of {size:,} values needs {needed / 2**30:,.1f} GiB "
            f"of memory, but {free / 2**30:,.1f} GiB are free: add --set ais_base=diagonal"
        )
    if len(replicas.local) < replicas.count:
        raise UserError("exp_type 'density' runs on one machine: start it without TF_CONFIG")
