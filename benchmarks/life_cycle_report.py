"""What a life cycle found: `results.json`, a table in Markdown, and one picture."""

import json
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.stages import Work
from utils.files import make_folder, whole_file
from utils.plots import save_figure

FACTORS = (1, 10, 100)  # times the training chain


class Regime(NamedTuple):
    """A regime and its 1x: the mean number of Langevin steps behind a negative sample."""

    name: str
    steps: int


def report(out: Path, work: Work, regimes: Sequence[Regime]) -> None:
    """Write all results of finished stages into a folder."""
    make_folder(str(out))
    results = collect(work, regimes)
    _write(out / "results.json", json.dumps(results, indent=1) + "\n")
    _write(out / "table.md", table(results))
    draw(results, work, str(out / "picture.png"))
    shutil.copyfile(work.log, out / "log.txt")


def collect(work: Work, regimes: Sequence[Regime]) -> dict[str, Any]:
    """Return everything that was measured, of the whole run and by regime."""
    attacks = {name: work.folder(f"attack_{name}") for name in ("bare", *(r.name for r in regimes))}
    results = {
        "machine": f"{os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}",
        "minutes": round(sum(s["seconds"] for s in work.stages.values()) / 60, 1),
        "stages": {name: round(stage["seconds"], 1) for name, stage in work.stages.items()},
        "classifier": _read(work.folder("classifier") / "best.json"),
        "attacks": {name: _attack(folder) for name, folder in attacks.items()},
        "regimes": {},
    }
    for regime in regimes:
        runs = {f"{n}x": work.folder(f"{regime.name}_{n}x") / "report.json" for n in (10, 100)}
        reports = {name: _read(path) for name, path in runs.items()}
        results["regimes"][regime.name] = {
            "training_chain": regime.steps,
            "scores": [score for report in reports.values() for score in report["scores"]],
            "validity": reports["100x"]["validity"]["model"],
        }
    return results


def table(results: dict[str, Any]) -> str:
    """Return both tables: at 1x, 10x, 100x with the attack, and at equal numbers of steps."""
    regimes = results["regimes"]
    many, few = (max(_counts(regimes, choose)) for choose in (max, min))
    lines = [
        f"| | 1x | FID at 1x ({many}) | 10x ({many}) | 1x ({few}) | 10x ({few}) | 100x ({few}) "
        "| KID at 100x | robust [95%] | natural | control |",
        "|---|" + "---|" * 10,
    ]
    for name, regime in regimes.items():
        at = [regime["training_chain"] * factor for factor in FACTORS]
        cells = [f"{at[0]:,} steps", *(_fid(regime, n, many) for n in at[:2])]
        cells += [*(_fid(regime, n, few) for n in at), _kid(regime, at[2], few)]
        lines.append(f"| {name} | {' | '.join(cells)} | {_attacked(results['attacks'][name])} |")
    lines += [f"| no EBM {'| ' * 7}| {_attacked(results['attacks']['bare'])} |", ""]

    lengths = sorted({r["training_chain"] * f for r in regimes.values() for f in FACTORS})
    lines += [
        f"| FID of {few} chains after | start | {' | '.join(f'{n:,}' for n in lengths)} |",
        "|---|" + "---|" * (len(lengths) + 1),
    ]
    for name, regime in regimes.items():
        cells = [_fid(regime, n, few) for n in (0, *lengths)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(results: dict[str, Any], work: Work, path: str) -> None:
    """Draw the chains of every regime at their start, and after 1, 10 and 100 training chains."""
    regimes = results["regimes"]
    figure = Figure(figsize=(13, 3.5 * len(regimes)), layout="constrained")
    few = max(_counts(regimes, min))
    cells = figure.subplots(len(regimes), 1 + len(FACTORS))
    for row, (name, regime) in zip(cells, regimes.items(), strict=True):
        for axes, factor in zip(row, (0, *FACTORS), strict=True):
            steps = regime["training_chain"] * factor
            grid = Image.open(work.folder(f"{name}_100x") / "images" / f"grid_{steps}.png")
            axes.imshow(np.asarray(grid))
            axes.set(xticks=[], yticks=[])
            what = f"{factor}x: {steps:,} steps" if factor else "start"
            axes.set_title(f"{what}, FID {_fid(regime, steps, few)}")
        row[0].set_ylabel(name, fontsize=14)
    save_figure(figure, path)


def _attack(folder: Path) -> dict[str, Any]:
    found = _read(folder / "data_log" / "report.json")
    kept = ("images", "natural", "robust", "control", "seconds", "image_steps")
    steps = found["setting"]["langevin_steps"]
    return {**{name: found[name] for name in kept}, "langevin_steps": steps}


def _attacked(attack: dict[str, Any]) -> str:
    robust, rest = attack["robust"], (attack[name] for name in ("natural", "control"))
    interval = f"[{robust['low']:.2f}, {robust['high']:.2f}]"
    return " | ".join(
        [f"{robust['accuracy']:.3f} {interval}", *(f"{each['accuracy']:.3f}" for each in rest)]
    )


def _counts(regimes: dict[str, Any], choose: Callable) -> list[int]:
    """Return the largest, or smallest, number of images of each regime's scores of samples."""
    return [
        choose(s["images"] for s in r["scores"] if s["steps"] is not None) for r in regimes.values()
    ]


def _score(regime: dict[str, Any], steps: int, images: int) -> dict[str, Any] | None:
    found = [s for s in regime["scores"] if (s["steps"], s["images"]) == (steps, images)]
    return found[0] if found else None


def _fid(regime: dict[str, Any], steps: int, images: int) -> str:
    score = _score(regime, steps, images)
    return "-" if score is None else f"{score['fid']:.2f}"


def _kid(regime: dict[str, Any], steps: int, images: int) -> str:
    score = _score(regime, steps, images)
    error = score["kid_error"]
    return f"{score['kid']:.3f}" + ("" if error is None else f" +- {error:.3f}")


def _processor() -> str:
    """Return the processor's name where Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def _write(path: Path, text: str) -> None:
    with whole_file(str(path)) as temporary:
        Path(temporary).write_text(text)
