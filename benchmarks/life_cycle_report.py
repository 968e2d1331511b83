"""What a life cycle found: `results.json`, a table in Markdown, and one picture."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.machine import machine
from benchmarks.stages import Work
from utils.config.load import REPOSITORY
from utils.files.whole import make_folder, whole_file
from utils.run.plots import save_figure

FACTORS = (1, 10, 100)  # times the training chain
ACCURACIES = ("natural", "control", "robust")


class Regime(NamedTuple):
    """A regime and its 1x: the mean number of Langevin steps behind a negative sample."""

    name: str
    steps: int


def report(out: Path, work: Work, regimes: Sequence[Regime]) -> None:
    """Write all results of finished stages into a folder."""
    make_folder(str(out))
    results = collect(work, regimes)
    _write(out / "results.json", json.dumps(results, indent=1) + "\n")
    _write(out / "table.md", table(results).lstrip())
    draw(results, work, str(out / "picture.png"))
    _write(out / "log.txt", work.log.read_text().replace(f"{REPOSITORY}/", ""))


def collect(work: Work, regimes: Sequence[Regime]) -> dict[str, Any]:
    """Return everything that was measured, of the whole run and by regime."""
    attacks = {name: work.folder(f"attack_{name}") for name in ("bare", *(r.name for r in regimes))}
    results = {
        "machine": machine(),
        "minutes": round(sum(s["seconds"] for s in work.stages.values()) / 60, 1),
        "stages": {name: round(stage["seconds"], 1) for name, stage in work.stages.items()},
        "test_accuracy": _last_accuracy(work.folder("classifier") / "metrics.csv"),
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
    """Return the tables: at 1x, 10x and 100x; at equal numbers of steps; and the attacks."""
    regimes = results["regimes"]
    many, few = (max(_counts(regimes, choose)) for choose in (max, min))
    lines = _head(
        f"FID[classifier] (KID) of chains, {many} and {few}",
        *("1x", f"at 1x ({many})", f"at 10x ({many})"),
        *(f"at {factor}x ({few})" for factor in FACTORS),
    )
    for name, regime in regimes.items():
        at = [regime["training_chain"] * factor for factor in FACTORS]
        cells = [f"{at[0]:,} steps", *(_text(regime, n, many) for n in at[:2])]
        lines.append(_row(name, *cells, *(_text(regime, n, few) for n in at)))

    lengths = sorted({r["training_chain"] * f for r in regimes.values() for f in FACTORS})
    lines += _head(
        f"FID[classifier] of {few} chains after", "start", *(f"{n:,} steps" for n in lengths)
    )
    for name, regime in regimes.items():
        lines.append(_row(name, *(_fid(regime, n, few) for n in (0, *lengths))))
    held_out = _fid(next(iter(regimes.values())), None, few)
    lines.append(_row(f"{few} held-out pictures", held_out, *[""] * len(lengths)))

    attacks = results["attacks"]
    images = {attack["images"] for attack in attacks.values()}
    lines += _head(f"classifier, {max(images)} images", *ACCURACIES, "robust, 95% interval")
    for name, attack in attacks.items():
        behind = f"behind {name}, {attack['langevin_steps']} steps" if name != "bare" else name
        lines.append(_row(behind, *_attacked(attack)))
    return "\n".join(lines) + "\n"


def _head(first: str, *columns: str) -> list[str]:
    """Return the lines that begin a table, with what must stand before it."""
    return ["", _row(first, *columns), "|" + "---|" * (1 + len(columns))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


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
            axes.set_title(f"{what}\nFID[classifier] {_fid(regime, steps, few)}")
        row[0].set_ylabel(name, fontsize=14)
    save_figure(figure, path)


def _last_accuracy(path: Path) -> float:
    """Return the test accuracy of the last epoch, whose weights are used."""
    with open(path, newline="") as file:
        return float(list(csv.DictReader(file))[-1]["test_accuracy"])


def _attack(folder: Path) -> dict[str, Any]:
    found = _read(folder / "data_log" / "report.json")
    kept = ("images", *ACCURACIES, "seconds", "image_steps")
    steps = found["setting"]["langevin_steps"]
    return {**{name: found[name] for name in kept}, "langevin_steps": steps}


def _attacked(attack: dict[str, Any]) -> list[str]:
    accuracies = [f"{attack[name]['accuracy']:.2f}" for name in ACCURACIES]
    return [*accuracies, "[{low:.2f}, {high:.2f}]".format(**attack["robust"])]


def _counts(regimes: dict[str, Any], choose: Callable) -> list[int]:
    """Return the largest, or smallest, number of images of each regime's scores of samples."""
    return [
        choose(s["images"] for s in r["scores"] if s["steps"] is not None) for r in regimes.values()
    ]


def _score(regime: dict[str, Any], steps: int | None, images: int) -> dict[str, Any] | None:
    """Return the score of so many images after so many steps; None steps are held-out data."""
    found = [s for s in regime["scores"] if (s["steps"], s["images"]) == (steps, images)]
    return found[0] if found else None


def _fid(regime: dict[str, Any], steps: int | None, images: int) -> str:
    score = _score(regime, steps, images)
    return "-" if score is None else f"{score['fid']:.2f}"


def _text(regime: dict[str, Any], steps: int, images: int) -> str:
    """Return FID and, in brackets, KID with its standard error."""
    score = _score(regime, steps, images)
    error = "" if score["kid_error"] is None else f" ± {score['kid_error']:.3f}"
    return f"{score['fid']:.2f} ({score['kid']:.3f}{error})"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def _write(path: Path, text: str) -> None:
    with whole_file(str(path)) as temporary:
        Path(temporary).write_text(text)
