"""How fast Langevin chains are: ours, the published loop and PyTorch, in one run, taking turns.

    python3 -m benchmarks.langevin [--widths 32 64 256] [--batches 16 64 128] [--repeats 5]

A repeat times each variant, and large matrix products, once; numbers are medians over repeats, and
ratios and shares are medians of the repeats' own. Beside each rate: the multiply-adds of an
image-step as published; the share of this machine's matmul rate (in bfloat16 for bfloat16) that
they would amount to, over 100% where a formulation needs fewer; and the share of the
operation-reduced bound, the rate at which the fewest multiply-adds that our networks need would
run at that matmul rate. Writes langevin.json and langevin.png, too. Needs a machine with nothing
else to do: PyTorch's threads spin as they wait for each other, and suffer most from company.
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

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from benchmarks.formulations import FORMULATIONS, HAS_TORCH, Case, Formulation, multiply_adds
from benchmarks.machine import machine
from nets.sngan import EBM_BLOCKS
from utils.config.command_line import whole_number
from utils.devices.strategy import make_strategy
from utils.errors import first_line
from utils.files.whole import make_folder
from utils.run.plots import save_figure

Ask = Callable[..., Any]  # (variant, function, *arguments) -> what it returns in its process

SECONDS = 1.0  # that one timing takes, about
MATMUL = 2048
HEAD = (
    "| size | width | batch | variant | image-steps/s [min, max] | x plain "
    "| G multiply-adds | of matmul | of bound |"
)
OURS = ("float32", "bfloat16")
NAMES = {
    "plain": "plain",
    "float32": "ours float32",
    "bfloat16": "ours bfloat16",
    "torch": "PyTorch",
    "torch-compile": "torch.compile",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print a Markdown row a variant, write JSON and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    parser.add_argument(
        "--threads", default="1", help="an operation of ours; 1: parts side by side"
    )
    parser.add_argument(
        "--steps", type=whole_number(1), help="of every timing; default: about a second's"
    )
    parser.add_argument("--repeats", type=whole_number(1), default=5)
    parser.add_argument("--variants", nargs="+", choices=FORMULATIONS, default=list(FORMULATIONS))
    parser.add_argument("--out", type=Path, default=Path("tf_out/benchmarks"))
    arguments = parser.parse_args(argv)

    variants = ["plain", *(v for v in arguments.variants if v != "plain")]
    if not HAS_TORCH:
        variants = [v for v in variants if not v.startswith("torch")]
        print("without PyTorch: it is not installed\n")
    print(f"{HEAD}\n|{'---|' * HEAD[1:].count('|')}")
    rows: list[dict[str, Any]] = []
    with processes(variants, arguments.threads) as ask:
        for case in cases(arguments):
            own = {"steps": arguments.steps, "repeats": arguments.repeats}
            measured = measure(case, variants, ask, **own)
            print("\n".join(table_row(row) for row in measured), flush=True)
            rows += measured

    make_folder(str(arguments.out))
    report = {
        "machine": {**machine(), **torch_version()},
        "repeats": arguments.repeats,
        "rows": rows,
    }
    (arguments.out / "langevin.json").write_text(json.dumps(report, indent=1))
    save_figure(bars(rows), str(arguments.out / "langevin.png"))


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """Yield what to measure; networks above 32 px come at their published width."""
    for size in arguments.sizes:
        widths, batches = arguments.widths, arguments.batches
        if size > 32:
            widths, batches = [EBM_BLOCKS[size][0]], arguments.large_batches
        yield from (Case(size, width, batch) for width in widths for batch in batches)


@contextlib.contextmanager
def processes(variants: Sequence[str], threads: str) -> Iterator[Ask]:
    """Give each variant a process, which can be asked until the context ends.

    For threads are a process's own: ours takes `threads` an operation, one for pieces; the
    others and the matrix products TensorFlow's and PyTorch's default, all cores.
    """
    with contextlib.ExitStack() as stack:
        own = {}
        for name in variants:
            own[name] = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            stack.enter_context(own[name])
            number = threads if name in OURS else "0"
            own_environment = {"TF_NUM_INTRAOP_THREADS": number, "TF_ENABLE_ONEDNN_OPTS": "1"}
            with mock.patch.dict(os.environ, own_environment):
                own[name].submit(start).result()
        yield lambda name, function, *arguments: own[name].submit(function, *arguments).result()


def start() -> None:
    """Set TensorFlow up as the scripts do."""
    make_strategy("cpu")


def measure(
    case: Case, variants: Sequence[str], ask: Ask, *, steps: int | None, repeats: int
) -> list[dict[str, Any]]:
    """Return a row for each variant of a case; one that does not work here is said and left out."""
    variants = [name for name in variants if name not in failing(case, variants, ask)]
    tasks = {name: name for name in variants} | {"matmul float32": "plain"}  # task: whose process
    if "bfloat16" in variants:
        tasks["matmul bfloat16"] = "plain"
    lengths = {
        task: steps or ask(process, fitting_length, task, case) for task, process in tasks.items()
    }
    rates: dict[str, list[float]] = {task: [] for task in tasks}  # steps, or products, a second
    for _ in range(repeats):
        for task, process in tasks.items():
            seconds = ask(process, seconds_of, task, case, lengths[task])
            rates[task].append(lengths[task] / seconds)
    return [summary(case, name, lengths[name], rates) for name in variants]


def failing(case: Case, variants: Sequence[str], ask: Ask) -> list[str]:
    """Return the variants that do not work here, after a look that others compute one energy."""
    failed, reference = [], None
    for name in variants:
        energies = ask(name, look, name, case)
        if isinstance(energies, str):
            print(f"(no torch.compile: {energies})")
            failed.append(name)
            continue
        reference = energies if reference is None else reference  # those of plain
        error = np.max(np.abs(energies - reference)) / np.max(np.abs(reference))
        # Of random weights an energy is a sum that nearly cancels: 8 bits tell it roughly.
        tolerance = 0.5 if name == "bfloat16" else 1e-3
        assert error <= tolerance, f"{name} at {case}: energies differ by {error:.1e}"
    return failed


def look(name: str, case: Case) -> np.ndarray | str:
    """Return the energies of a variant's start images, or why it does not compile here."""
    try:
        return formulation(name, case).energies()
    except Exception as error:  # a compiler that is not there raises many kinds
        if name != "torch-compile":
            raise
        return f"{type(error).__name__}: {first_line(error)}"


@functools.lru_cache(maxsize=1)
def formulation(name: str, case: Case) -> Formulation:
    """Return a variant of the case under way; the one before is forgotten."""
    keras.backend.clear_session()
    gc.collect()
    return FORMULATIONS[name](case)


def runner(task: str, case: Case) -> Callable[[int], None]:
    """Return what a task does n times: steps of a variant, or products."""
    if task.startswith("matmul "):
        return make_matmul(task.removeprefix("matmul "))
    return formulation(task, case).run


@functools.cache
def make_matmul(dtype: str) -> Callable[[int], None]:
    """Return a function that multiplies two large square matrices n times."""
    one, other = (
        tf.cast(tf.random.stateless_normal([MATMUL, MATMUL], [0, number]), dtype)
        for number in range(2)
    )

    def run(count: int) -> None:
        for _ in range(count):
            product = tf.matmul(one, other)
        product[0, 0].numpy()

    return run


def fitting_length(task: str, case: Case) -> int:
    """Return how many steps take about `SECONDS`, at least one."""
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


def summary(case: Case, name: str, steps: int, rates: dict[str, list[float]]) -> dict[str, Any]:
    """Return what is told of one variant, from all rates of its case."""
    image_steps = case.batch * np.array(rates[name])
    matmul = "matmul bfloat16" if name == "bfloat16" else "matmul float32"
    multiply_adds_per_second = MATMUL**3 * np.array(rates[matmul])
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


def table_row(row: dict[str, Any]) -> str:
    """Return a Markdown row."""
    low, high = min(row["image_steps_per_second"]), max(row["image_steps_per_second"])
    cells = [row["size"], row["width"], row["batch"], NAMES[row["variant"]]]
    cells += [f"{row['median']:,.4g} [{low:,.4g}, {high:,.4g}]", f"{row['ratio']:.2f}"]
    cells += [f"{row['multiply_adds'] / 1e9:.3g}"]
    cells += [f"{row['share_of_matmul']:.0%}", f"{row['share_of_bound']:.0%}"]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def torch_version() -> dict[str, str]:
    """Return PyTorch's version, if it is installed."""
    if not HAS_TORCH:
        return {}
    import torch

    return {"torch": torch.__version__}


def bars(rows: Sequence[dict[str, Any]]) -> Figure:
    """Return ratios to plain as bars, a group a case; a stroke is where our bound lies."""
    groups = list(dict.fromkeys((row["size"], row["width"], row["batch"]) for row in rows))
    variants = [name for name in NAMES if any(row["variant"] == name for row in rows)]
    figure = Figure(figsize=(5 + len(groups), 4.5), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(variants)
    for number, name in enumerate(variants):
        own = [row for row in rows if row["variant"] == name]
        groups_of = [groups.index((row["size"], row["width"], row["batch"])) for row in own]
        places = np.array(groups_of) + (number - (len(variants) - 1) / 2) * width
        axes.bar(places, [row["ratio"] for row in own], width, label=NAMES[name])
        if name in OURS:
            bounds = [row["ratio"] / row["share_of_bound"] for row in own]
            axes.hlines(bounds, places - width / 2, places + width / 2, color="black")
    axes.axhline(1, color="grey", linewidth=0.6)
    labels = [f"{size} px\nwidth {width}\nbatch {batch}" for size, width, batch in groups]
    axes.set_xticks(range(len(groups)), labels)
    axes.set(ylabel="image-steps/s, ratio to plain", title="strokes: operation-reduced bound")
    axes.set_ylim(0, 1.4 * max(row["ratio"] for row in rows))  # far bounds stay out of sight
    axes.legend(loc="upper left", ncols=len(variants))
    return figure


if __name__ == "__main__":
    main()
