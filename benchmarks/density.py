"""Time and memory of annealing: a Metropolis-adjusted step compared with a Langevin step.

    python3 -m benchmarks.density [--widths 32 64] [--chains 64] [--steps 40] [--repeats 5]

Both run the same chains of an EBM at 32 pixels, with the noise of evaluation chains, and take
turns. Seconds are medians over repeats; the ratio is the median of the ratios of repeats. The base
has a full covariance. Memory is the peak of the process for `--steps` steps and for four times as
many. A prior is a second network of the same width.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import utils.before_tensorflow

import numpy as np
import tensorflow as tf

from benchmarks.machine import machine
from nets import create_ebm
from utils.config.command_line import whole_number
from utils.density.chains import filled_up, make_annealing
from utils.density.gaussian import Spread, fit_gaussian
from utils.errors import one_line_errors
from utils.mcmc.langevin import Dynamics, langevin
from utils.mcmc.noise import make_image_noise
from utils.mcmc.potential import Potential, make_potential
from utils.replicas import Replicas
from utils.seeds import Purpose, fold_each

SHAPE = [32, 32, 3]
EPSILON, NOISE = 1e-3, 0.03  # so small that images stay in range
DEVICE = {"device_type": "cpu", "num_replicas": 1, "jit": False, "pieces": None, "conv": None}

Run = Callable[[int], object]  # steps -> last states of the chains


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print one Markdown row per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=whole_number(1), nargs="+", default=[32, 64])
    parser.add_argument("--chains", type=whole_number(2), default=64)
    parser.add_argument("--steps", type=whole_number(1), default=40)
    parser.add_argument("--repeats", type=whole_number(1), default=5)
    arguments = parser.parse_args(argv)
    replicas = Replicas({**DEVICE, "batch_size": arguments.chains})
    print(f"{machine()}\n\n{arguments.chains} chains of {SHAPE}, {replicas.pieces} pieces\n")
    print("| network | Langevin, ms/step | annealing, ms/step | ratio | MiB, 1x and 4x steps |")
    print("|---|---|---|---|---|")
    for width in arguments.widths:
        for prior in (False, True):
            runs = make_runs(replicas, potential_of(width, prior))
            seconds = measure(runs, arguments.steps, arguments.repeats)
            ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
            plain, annealed = (1000 * statistics.median(s) / arguments.steps for s in seconds)
            peaks = [peak(runs[1], times * arguments.steps) for times in (1, 4)]
            name = f"width {width}{', prior' if prior else ''}"
            memory = " and ".join(f"{mebibytes:,.0f}" for mebibytes in peaks)
            print(f"| {name} | {plain:.1f} | {annealed:.1f} | {ratio:.2f} | {memory} |", flush=True)


def potential_of(width: int, prior: bool) -> Potential:
    """Return the potential of a random EBM, with `prior` plus a second one."""
    ebm, other = (
        create_ebm({"net_type": "ebm_sngan", "image_dims": SHAPE, "ebm_width": width, "seed": seed})
        for seed in (0, 1)
    )
    given = {"prior": other, "prior_temperature": 1.0} if prior else {}
    return make_potential(ebm, 1.0, **given)


def make_runs(replicas: Replicas, potential: Potential) -> tuple[Run, Run]:
    """Return two functions, steps -> last states: of Langevin chains and of annealed chains."""
    size = int(np.prod(SHAPE))
    spread = Spread(np.zeros(size), np.ones(size), np.ones(size), np.eye(size))
    base = fit_gaussian(spread, SHAPE, noise=NOISE, full=True)
    anneal = make_annealing(base, potential, replicas, seed=0)
    numbers = np.arange(replicas.batch_size, dtype=np.int32)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(0)))
    images = rng.uniform(-1, 1, (replicas.batch_size, *SHAPE)).astype(np.float32)

    def chain(images: tf.Tensor, numbers: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        noise = make_image_noise(fold_each(0, Purpose.EVALUATION, numbers), images)
        dynamics = Dynamics(potential, EPSILON)
        return langevin(images, dynamics, num_steps=steps, noise=noise).images

    plain = replicas.spread(chain)

    def annealed(steps: int) -> object:
        path = filled_up((np.linspace(0, 1, steps + 1), np.full(steps, EPSILON)), 0, steps)
        return anneal(images, numbers, stream=1, first=0, steps=steps, path=path)

    return lambda steps: plain(images, numbers, steps=steps), annealed


def measure(runs: Sequence[Run], steps: int, repeats: int) -> list[list[float]]:
    """Return the seconds of each repeat of each run; runs take turns, and are traced before."""
    for run in runs:
        run(1)
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, own in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run(steps)
            own.append(time.perf_counter() - start)
    return seconds


def peak(run: Run, steps: int) -> float:
    """Return the peak memory of the process during one run, in MiB (Linux only)."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    run(steps)
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    main()
