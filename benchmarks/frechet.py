"""Our statistics and Fréchet distance compared with the usual methods, in one run.

    python3 -m benchmarks.frechet [--images 50000] [--dim 2048] [--repeats 3] [--json PATH]

Streamed statistics are compared with this machine's float64 rate of dsyrk and with `numpy.cov` of
all features in memory, the distance with `scipy.linalg.sqrtm`. Tasks take turns. Seconds are the
best and the median of the repeats; memory is the growth of the process at its peak, inputs
included (Linux only).
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import utils.before_tensorflow

import numpy as np
import scipy.linalg
from scipy.linalg.blas import dsyrk

from utils.config.command_line import whole_number
from utils.errors import one_line_errors
from utils.scores.frechet import BLOCK, Moments, Statistics, frechet_distance

BATCH = 500


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=whole_number(1), default=50_000)
    parser.add_argument("--dim", type=whole_number(1), default=2048)
    parser.add_argument("--repeats", type=whole_number(1), default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(argv)

    features = draw_features(arguments.images, arguments.dim)
    tasks = make_tasks(features)
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(arguments.repeats):
        for name, task in tasks.items():
            seconds[name].append(timed(task))
    rows = {
        name: {
            "best_seconds": min(seconds[name]),
            "median_seconds": float(np.median(seconds[name])),
            "peak_megabytes": peak_megabytes(task),
        }
        for name, task in tasks.items()
    }
    report = {"arguments": vars(arguments) | {"json": None}, "tasks": rows}
    report |= compare(features, rows)
    print_report(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


def draw_features(images: int, dim: int) -> np.ndarray:
    """Return (images, dim) float32 features: correlated and not negative, like pooled features."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(0)))
    mixing = rng.normal(size=(dim, dim)).astype(np.float32) / np.sqrt(dim, dtype=np.float32)
    scales = np.exp(-4 * np.arange(dim, dtype=np.float32) / dim)
    return np.maximum(rng.normal(size=(images, dim)).astype(np.float32) * scales @ mixing, 0)


def make_tasks(features: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return the measured tasks by name; all use the same features."""
    one, other = (_numpy_statistics(half) for half in np.array_split(features[:8192], 2))
    return {
        "dsyrk alone": make_dsyrk(*features.shape),
        "statistics, streamed": lambda: stream(features),
        "statistics, all in memory": lambda: _numpy_statistics(features),
        "distance": lambda: frechet_distance(one, other),
        "distance by sqrtm": lambda: sqrtm_distance(one, other),
    }


def make_dsyrk(images: int, dim: int) -> Callable[[], None]:
    """Return a function that does the arithmetic of the statistics by calls of dsyrk alone."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(1)))
    block, gram = rng.normal(size=(dim, BLOCK)).copy(order="F"), np.zeros((dim, dim), order="F")

    def run() -> None:
        for start in range(0, images, BLOCK):
            rows = block[:, : min(BLOCK, images - start)]
            dsyrk(1.0, rows, beta=1.0, c=gram, overwrite_c=True)

    return run


def stream(features: np.ndarray) -> Statistics:
    """Return the statistics of features, added batch by batch."""
    moments = Moments(features.shape[1])
    for start in range(0, len(features), BATCH):
        moments.add(features[start : start + BATCH])
    return moments.statistics()


def _numpy_statistics(features: np.ndarray) -> Statistics:
    features = features.astype(np.float64)
    return Statistics(features.mean(axis=0), np.cov(features, rowvar=False), len(features))


def sqrtm_distance(one: Statistics, other: Statistics) -> float:
    """Return the distance as the usual tools compute it, for regular matrices."""
    root = scipy.linalg.sqrtm(one.covariance @ other.covariance)
    spread = np.trace(one.covariance) + np.trace(other.covariance) - 2 * np.trace(root.real)
    return float(np.sum((one.mean - other.mean) ** 2) + spread)


def timed(task: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def peak_megabytes(task: Callable[[], Any]) -> float:
    """Return the largest growth of the process during one call, in MB; NaN if it is unknown."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = _resident("VmRSS")
        task()
        return _resident("VmHWM") - before
    except OSError:
        return float("nan")


def _resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1e3


def compare(features: np.ndarray, rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the rate of dsyrk, our share of it, and the differences of results."""
    images, dim = features.shape
    dsyrk_seconds = rows["dsyrk alone"]["best_seconds"]
    tasks = make_tasks(features)
    streamed, gathered = tasks["statistics, streamed"](), tasks["statistics, all in memory"]()
    difference = np.abs(streamed.covariance - gathered.covariance).max()
    return {
        "dsyrk_gigaflops": images * dim * (dim + 1) / dsyrk_seconds / 1e9,
        "streaming_share_of_dsyrk": dsyrk_seconds / rows["statistics, streamed"]["best_seconds"],
        "covariance_difference": float(difference / np.abs(gathered.covariance).max()),
        "distance": tasks["distance"](),
        "distance_by_sqrtm": tasks["distance by sqrtm"](),
    }


def print_report(report: dict[str, Any]) -> None:
    """Print the table and the ratios."""
    print(f"{'':28}{'best s':>10}{'median s':>10}{'peak MB':>10}")
    for name, row in report["tasks"].items():
        print(
            f"{name:28}{row['best_seconds']:10.2f}{row['median_seconds']:10.2f}"
            f"{row['peak_megabytes']:10.0f}"
        )
    print(f"dsyrk: {report['dsyrk_gigaflops']:.0f} GFLOP/s in float64")
    print(f"streaming: {report['streaming_share_of_dsyrk']:.0%} of that rate, conversion included")
    print(f"covariances differ by {report['covariance_difference']:.1e} of the largest entry")
    print(f"distances: {report['distance']:.9g} and {report['distance_by_sqrtm']:.9g} by sqrtm")


if __name__ == "__main__":
    main()
