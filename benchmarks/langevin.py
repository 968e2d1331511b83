"""Speed of Langevin chains: ours, the published loop and PyTorch, in one run, taking turns.

    python3 -m benchmarks.langevin [--widths 32 64 256] [--batches 16 64 128] [--repeats 5]
    python3 -m benchmarks.langevin --device gpu --sizes 32 --batches 100

Each repeat times each variant once, and large matrix products. Numbers are medians over repeats;
ratios and shares are medians of those of the repeats. The table also gives:
- the multiply-adds of an image-step as published;
- their share of this machine's matmul rate (in bfloat16 for bfloat16), which is over 100% if a
  formulation needs fewer;
- the share of the operation-reduced bound: the rate at which the fewest multiply-adds that our
  networks need would run at that matmul rate.

On a GPU our chain is timed for each formulation of the convolutions (key `conv`), each precision,
with and without `jit`. Writes langevin.json and langevin.png. Nothing else should run on the
machine: PyTorch's threads spin while they wait for each other and lose most from other processes.
"""

import argparse
import contextlib
import functools
import gc
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import utils.before_tensorflow

import keras
import numpy as np
import tensorflow as tf

from benchmarks.formulations import (
    FORMULATIONS,
    HAS_TORCH,
    ON_ACCELERATORS,
    Case,
    Formulation,
    multiply_adds,
)
from benchmarks.langevin_report import HEAD, bars, table_row
from benchmarks.machine import machine
from nets.sngan import EBM_BLOCKS
from utils.config.command_line import whole_number
from utils.devices.strategy import make_strategy
from utils.errors import first_line, one_line_errors
from utils.files.whole import make_folder
from utils.run.plots import save_figure

Ask = Callable[..., Any]  # (variant, function, *arguments) -> its result in the variant's process

SECONDS = 1.0  # of one timing, roughly
MATMUL = {"cpu": 2048, "gpu": 8192}  # side of the matrices
OURS = ("float32", "bfloat16")  # on CPUs
ON_DEVICE = {
    "cpu": {"CUDA_VISIBLE_DEVICES": "-1"},
    "gpu": {"TF_FORCE_GPU_ALLOW_GROWTH": "true"},
}


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print one Markdown row per variant, write JSON and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=MATMUL, default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", choices=EBM_BLOCKS, default=[32, 64, 128])
    parser.add_argument(
        "--widths", type=whole_number(1), nargs="+", default=[32, 64, 256], help="at 32 px"
    )
    parser.add_argument(
        "--batches", type=whole_number(1), nargs="+", default=[16, 64, 128], help="at 32 px"
    )
    parser.add_argument(
        "--large-batches", type=int, nargs="+", default=[16], help="at 64 and 128 px"
    )
    parser.add_argument("--threads", default="1", help="per operation of ours; 1: pieces")
    parser.add_argument(
        "--steps", type=whole_number(1), help="per timing; default: as many as take a second"
    )
    parser.add_argument("--repeats", type=whole_number(1), default=5)
    parser.add_argument("--variants", nargs="+", choices=FORMULATIONS | ON_ACCELERATORS)
    parser.add_argument("--out", type=Path, default=Path("tf_out/benchmarks"))
    arguments = parser.parse_args(argv)

    own = {"cpu": FORMULATIONS, "gpu": ON_ACCELERATORS}[arguments.device]
    variants = ["plain", *(v for v in arguments.variants or own if v != "plain")]
    if not HAS_TORCH and any(v.startswith("torch") for v in variants):
        variants = [v for v in variants if not v.startswith("torch")]
        print("without PyTorch: it is not installed\n")
    if arguments.device == "gpu":
        if not tf.config.list_physical_devices("GPU"):
            parser.error("--device gpu: TensorFlow sees no GPU here")
        print(f"float32 with TF32: {tf.config.experimental.tensor_float_32_execution_enabled()}\n")
    print(f"{HEAD}\n|{'---|' * HEAD[1:].count('|')}")
    rows: list[dict[str, Any]] = []
    with processes(variants, arguments.device, arguments.threads) as ask:
        for case in cases(arguments):
            measured = measure(case, variants, ask, arguments)
            print("\n".join(table_row(row) for row in measured), flush=True)
            rows += measured

    make_folder(str(arguments.out))
    report = {
        "machine": {**machine(arguments.device), **torch_version()},
        "repeats": arguments.repeats,
        "rows": rows,
    }
    (arguments.out / "langevin.json").write_text(json.dumps(report, indent=1))
    save_figure(bars(rows), str(arguments.out / "langevin.png"))


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """Yield the measured cases; networks above 32 px have their published width."""
    for size in arguments.sizes:
        widths, batches = arguments.widths, arguments.batches
        if size > 32:
            widths, batches = [EBM_BLOCKS[size][0]], arguments.large_batches
        yield from (Case(size, width, batch) for width in widths for batch in batches)


@contextlib.contextmanager
def processes(variants: Sequence[str], device: str, threads: str) -> Iterator[Ask]:
    """Start one process per variant, which runs functions until the context ends.

    Each process has its own threads: ours has `threads` per operation (1 for pieces); the other
    variants and the matrix products use the default of TensorFlow and PyTorch, all cores. All
    processes share a GPU.
    """
    with contextlib.ExitStack() as stack:
        own, starts = {}, []
        for name in variants:
            own[name] = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            stack.enter_context(own[name])
            number = threads if name in OURS else "0"
            own_environment = {"TF_NUM_INTRAOP_THREADS": number, "TF_ENABLE_ONEDNN_OPTS": "1"}
            own_environment |= ON_DEVICE[device]
            with mock.patch.dict(os.environ, own_environment):
                starts.append(own[name].submit(start, device))
        for each in starts:
            each.result()
        yield lambda name, function, *arguments: own[name].submit(function, *arguments).result()


def start(device: str) -> None:
    """Set TensorFlow up like the scripts."""
    make_strategy(device, deterministic=False)  # the published noise has hidden state


def measure(
    case: Case, variants: Sequence[str], ask: Ask, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return a row for each variant of a case; variants that fail are printed and left out."""
    side = MATMUL[arguments.device]
    failed = failing(case, variants, ask)
    variants = [name for name in variants if name not in failed]
    tasks = {name: name for name in variants}  # task: the variant in whose process it runs
    tasks |= {f"matmul {dtype_of(name)} {side}": "plain" for name in variants}
    lengths = {
        task: arguments.steps or ask(process, fitting_length, task, case)
        for task, process in tasks.items()
    }
    rates: dict[str, list[float]] = {task: [] for task in tasks}  # steps or products per second
    for _ in range(arguments.repeats):
        for task, process in tasks.items():
            seconds = ask(process, seconds_of, task, case, lengths[task])
            rates[task].append(lengths[task] / seconds)
    return [summary(case, name, lengths[name], rates, side) for name in variants]


def dtype_of(variant: str) -> str:
    """Return the type of a variant's products."""
    return "bfloat16" if "bfloat16" in variant else "float32"


def failing(case: Case, variants: Sequence[str], ask: Ask) -> list[str]:
    """Return the variants that fail here; check that all others compute the same energies."""
    failed, reference = [], None
    for name in variants:
        energies = ask(name, energies_or_reason, name, case)
        if isinstance(energies, str):
            print(f"(no torch.compile: {energies})")
            failed.append(name)
            continue
        reference = energies if reference is None else reference  # of plain
        error = np.max(np.abs(energies - reference)) / np.max(np.abs(reference))
        # With random weights an energy is a sum that nearly cancels: 8 bits, or the 11 of TF32,
        # give it roughly.
        on_cpu = name in FORMULATIONS
        tolerance = 0.5 if dtype_of(name) == "bfloat16" else 1e-3 if on_cpu else 0.1
        assert error <= tolerance, f"{name} at {case}: energies differ by {error:.1e}"
    return failed


def energies_or_reason(name: str, case: Case) -> np.ndarray | str:
    """Return the (b,) energies of a variant's start images, or why it does not compile here."""
    try:
        return formulation(name, case).energies()
    except Exception as error:  # a missing compiler raises exceptions of many types
        if name != "torch-compile":
            raise
        return f"{type(error).__name__}: {first_line(error)}"


@functools.lru_cache(maxsize=1)
def formulation(name: str, case: Case) -> Formulation:
    """Return a variant of the current case; only the last one is kept."""
    keras.backend.clear_session()
    gc.collect()
    return (FORMULATIONS | ON_ACCELERATORS)[name](case)


def runner(task: str, case: Case) -> Callable[[int], None]:
    """Return the function that runs n steps of a variant, or n products."""
    if task.startswith("matmul "):
        _, dtype, side = task.split()
        return make_matmul(dtype, int(side))
    return formulation(task, case).run


@functools.cache
def make_matmul(dtype: str, side: int) -> Callable[[int], None]:
    """Return a function that multiplies two large square matrices n times."""
    one, other = (
        tf.cast(tf.random.stateless_normal([side, side], [0, number]), dtype) for number in range(2)
    )

    def run(count: int) -> None:
        for _ in range(count):
            product = tf.matmul(one, other)
        product[0, 0].numpy()

    return run


def fitting_length(task: str, case: Case) -> int:
    """Return the number of steps that take about `SECONDS`, at least 1."""
    length = 1
    seconds_of(task, case, length)
    while (seconds := seconds_of(task, case, length)) < SECONDS / 4:
        length *= 4
    return max(1, round(length * SECONDS / seconds))


def seconds_of(task: str, case: Case, length: int) -> float:
    """Return the seconds of one run."""
    run = runner(task, case)
    start = time.perf_counter()
    run(length)
    return time.perf_counter() - start


def summary(
    case: Case, name: str, steps: int, rates: dict[str, list[float]], side: int
) -> dict[str, Any]:
    """Return the row of one variant, from all rates of its case."""
    image_steps = case.batch * np.array(rates[name])
    multiply_adds_per_second = side**3 * np.array(rates[f"matmul {dtype_of(name)} {side}"])
    published = multiply_adds(case, reduced=False)
    shares = image_steps / multiply_adds_per_second
    return {
        **case._asdict(),
        "variant": name,
        "steps": steps,
        "image_steps_per_second": image_steps.tolist(),
        "median": float(np.median(image_steps)),
        "ratio": float(np.median(np.array(rates[name]) / rates["plain"])),
        "multiply_adds": published,
        "reduced_multiply_adds": multiply_adds(case, reduced=True),
        "matmul_multiply_adds_per_second": float(np.median(multiply_adds_per_second)),
        "share_of_matmul": float(np.median(shares)) * published,
        "share_of_bound": float(np.median(shares)) * multiply_adds(case, reduced=True),
    }


def torch_version() -> dict[str, str]:
    """Return the version of PyTorch if it is installed."""
    if not HAS_TORCH:
        return {}
    import torch

    return {"torch": torch.__version__}


if __name__ == "__main__":
    main()
