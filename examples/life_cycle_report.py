"""The results of the life cycle, from its run folders: results.json, table.md, picture.png."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.machine import machine
from utils.attack.statistics import excess
from utils.config.load import REPOSITORY
from utils.files.whole import make_folder, read_json, whole_file
from utils.run.plots import save_figure

REGIMES = ("shortrun", "midrun", "longrun")
FACTORS = (1, 10, 100)  # times the training chain
ACCURACIES = ("natural", "control", "robust")


def report(out: Path, cycle: Any, work: Any) -> None:
    """Write all results of a finished `Cycle` into a folder; `work` holds its seconds and log."""
    make_folder(str(out))
    minutes = round(sum(work.seconds.values()) / 60, 1)
    results = collect(cycle) | {"minutes": minutes, "stages": work.seconds}
    write(out / "results.json", json.dumps(results, indent=1) + "\n")
    write(out / "table.md", table(results))
    plot(results, cycle.root, str(out / "picture.png"))
    write(out / "log.txt", work.log.read_text(encoding="utf-8").replace(f"{REPOSITORY}/", ""))


def collect(cycle: Any) -> dict[str, Any]:
    """Return the measurements of the classifier, of the attacks and of the regimes."""
    root, steps = cycle.root, cycle.steps
    with open(root / "classifier" / "metrics.csv", newline="") as file:
        accuracy = float(list(csv.DictReader(file))[-1]["test_accuracy"])  # of the last weights
    results = {"machine": machine(), "test_accuracy": accuracy, "attacks": {}, "regimes": {}}
    results["best_defenders"] = best_defenders(cycle)
    for name, ending in cycle.attacked:
        found = read_json(root / f"attack_{name}{ending}" / "data_log" / "report.json")
        kept = {key: found[key] for key in ("images", *ACCURACIES, "seconds", "image_steps")}
        kept["langevin_steps"] = found["setting"]["langevin_steps"]
        results["attacks"][f"{name}{ending}"] = kept
    if cycle.samples:
        results["samples"] = read_json(root / "samples" / "report.json")["scores"]
    for name, own in steps.items():
        reports = {
            up_to: read_json(root / f"{name}_{up_to}x" / "report.json") for up_to in cycle.chains
        }
        results["regimes"][name] = {
            "training_chain": own,
            "scores": {up_to: found["scores"] for up_to, found in reports.items()},
            "validity": reports[max(reports)]["validity"]["model"],
            "long": {
                last: read_json(root / f"{name}_{last}" / "report.json")["validity"]["model"]
                for last, (_, names) in cycle.long.items()
                if name in names
            },
        }
    return results


def best_defenders(cycle: Any) -> dict[str, dict[str, Any]]:
    """Return, by attack, the regime that leaves most images right, and what it has over the others.

    Differences of robust accuracies are paired: all attacks of a kind take the same images.
    """
    found = {}
    for ending in dict.fromkeys(ending for _, ending in cycle.attacked):
        right = {}
        for name in REGIMES:
            with np.load(cycle.root / f"attack_{name}{ending}" / "data_log" / "results.npz") as own:
                right[name] = own["class_path"][-1]
        best = max(right, key=lambda name: right[name].mean())
        others = {name: excess(right[best], right[name]) for name in REGIMES if name != best}
        found[ending.strip("_")] = {"best": best, "over": others}
    return found


def table(results: Mapping[str, Any]) -> str:
    """Return the tables: samples, 1x to 100x, equal steps, long chains, attacks, defenders."""
    regimes = results["regimes"]
    parts = [_factors(regimes), _equal_steps(regimes), _attacks(results["attacks"])]
    parts.append(_defenders(results["best_defenders"]))
    if "samples" in results:
        parts.insert(0, _samples(results["samples"]))
    if any(regime["long"] for regime in regimes.values()):
        parts.insert(-2, _long(regimes))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _samples(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = _head(f"{scores[-1]['images']:,} images of shortrun", "steps", "FID (KID)")
    for score in scores:
        steps = "" if score["steps"] is None else str(score["steps"])
        lines.append(_row(score["of"], steps, _text(score)))
    return lines


def _factors(regimes: Mapping[str, Any]) -> list[str]:
    """Return the scores at multiples of the regimes' training chains, most chains first."""
    groups = sorted(next(iter(regimes.values()))["scores"])
    columns = [(up_to, factor) for up_to in groups for factor in (0, *FACTORS) if factor <= up_to]
    lines = _head("FID[classifier] (KID) of chains", "1x", *(
        f"{f'at {factor}x' if factor else 'start'} ({_images(regimes, up_to)})"
        for up_to, factor in columns
    ))  # fmt: skip
    for name, regime in regimes.items():
        own = regime["training_chain"]
        at = {up_to: _by_steps(regime, up_to) for up_to in groups}
        cells = (_text(at[up_to].get(own * factor)) for up_to, factor in columns)
        lines.append(_row(name, f"{own:,} steps", *cells))
    held_out = _text(_by_steps(regimes[REGIMES[0]], groups[-1])[None])
    cells = (held_out if column == (groups[-1], 0) else "" for column in columns)
    return [*lines, _row("held-out pictures", "", *cells)]


def _equal_steps(regimes: Mapping[str, Any]) -> list[str]:
    last = max(next(iter(regimes.values()))["scores"])
    at = {name: _by_steps(regime, last) for name, regime in regimes.items()}
    ends = sorted({steps for scores in at.values() for steps in scores if steps})
    images = _images(regimes, last)
    lines = _head(
        f"FID[classifier] of {images} chains after", "start", *(f"{e:,} steps" for e in ends)
    )
    lines += [_row(name, *(_fid(at[name], end) for end in (0, *ends))) for name in regimes]
    held_out = [_fid(at[REGIMES[0]], None), *[""] * len(ends)]
    return [*lines, _row(f"{images} held-out pictures", *held_out)]


def _long(regimes: Mapping[str, Any]) -> list[str]:
    """Return the drift of the mean energy of long chains, in standard deviations of data."""
    lines = _head(
        "long chains", "steps", "energy", "of data", "drift over the last half, in sd of data"
    )
    for name, regime in regimes.items():
        for last, validity in regime["long"].items():
            end = list(validity["at"].values())[-1]
            of_data = regime["validity"]["energy_of_data"]  # of more pictures than long chains have
            half = int(last) / 2000 / of_data["standard_deviation"]
            slope = validity["energy_drift"] or {
                "per_1000_steps": math.nan,
                "standard_error": math.nan,
            }
            drifted = (
                f"{slope['per_1000_steps'] * half:+.2f} ± {slope['standard_error'] * half:.2f}"
            )
            energies = [f"{each['mean']:,.0f}" for each in (end["energy"], of_data)]
            lines.append(_row(name, f"{int(last):,}", *energies, drifted))
    return lines


def _attacks(attacks: Mapping[str, Any]) -> list[str]:
    images = max(attack["images"] for attack in attacks.values())
    lines = _head(f"classifier, {images} images", *ACCURACIES, "robust, 95% interval")
    for name, attack in attacks.items():
        defense, _, ending = name.partition("_")
        behind = (
            f"behind {defense}, {attack['langevin_steps']} steps" if defense != "bare" else "bare"
        )
        shares = [f"{attack[each]['accuracy']:.2f}" for each in ACCURACIES]
        interval = "[{low:.2f}, {high:.2f}]".format(**attack["robust"])
        lines.append(_row(behind + f", {ending}" * bool(ending), *shares, interval))
    return lines


def _defenders(found: Mapping[str, Any]) -> list[str]:
    """Return what the best defender under each attack has over the others."""
    lines = _head("best defender", "over", "robust accuracy, difference", "95% interval, paired")
    for ending, each in found.items():
        for name, over in each["over"].items():
            best = each["best"] + f", {ending}" * bool(ending)
            interval = "[{low:+.2f}, {high:+.2f}]".format(**over)
            lines.append(_row(best, name, f"{over['share']:+.2f}", interval))
    return lines


def plot(results: Mapping[str, Any], root: Path, path: str) -> None:
    """Plot the chains of each regime: start, 1, 10 and 100 training chains, and long chains."""
    regimes = results["regimes"]
    up_to = max(next(iter(regimes.values()))["scores"])
    rows = {name: pictured(regime, up_to) for name, regime in regimes.items()}
    columns = max(map(len, rows.values()))
    figure = Figure(figsize=(13, 13 / columns * len(rows)), layout="constrained")
    cells = figure.subplots(len(rows), columns, squeeze=False)
    for row, (name, shown) in zip(cells, rows.items(), strict=True):
        own, at = regimes[name]["training_chain"], _by_steps(regimes[name], up_to)
        for axes, steps in zip_longest(row, shown):
            axes.set(xticks=[], yticks=[])
            if steps is None:
                axes.axis("off")
                continue
            # All pictures of a row show the same chains, the first ones.
            run = next((last for last in regimes[name]["long"] if last >= steps), f"{up_to}x")
            grid = root / f"{name}_{run}" / "images" / f"grid_{steps}.png"
            axes.imshow(np.asarray(Image.open(grid)), cmap="gray")
            factor = f"{steps // own}x: " if steps in (own * each for each in FACTORS) else ""
            title = f"{factor}{steps:,} steps" if steps else "start"
            score = f"\nFID[classifier] {_fid(at, steps)}" if steps in at else ""
            axes.set_title(f"{title}{score}", fontsize=10)
        row[0].set_ylabel(name, fontsize=14)
    save_figure(figure, path)


def pictured(regime: Mapping[str, Any], up_to: int) -> list[int]:
    """Return the steps after which a regime's chains are pictured."""
    last = max(steps for steps in _by_steps(regime, up_to) if steps)
    most = max([last, *regime["long"]])
    multiples = (regime["training_chain"] * factor for factor in FACTORS)
    return sorted({0, last, *regime["long"], *(each for each in multiples if each <= most)})


def _head(*columns: str) -> list[str]:
    return [_row(*columns), "|" + "---|" * len(columns)]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _by_steps(regime: Mapping[str, Any], up_to: int) -> dict[int | None, Mapping[str, Any]]:
    """Return the scores of a regime's chains by step; None is the key of held-out pictures."""
    return {score["steps"]: score for score in regime["scores"][up_to]}


def _images(regimes: Mapping[str, Any], up_to: int) -> int:
    return _by_steps(next(iter(regimes.values())), up_to)[0]["images"]


def _fid(scores: Mapping[int | None, Any], steps: int | None) -> str:
    return f"{scores[steps]['fid']:.2f}" if steps in scores else "-"


def _text(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "-"
    error = "" if score["kid_error"] is None else f" ± {score['kid_error']:.3f}"
    return f"{score['fid']:.2f} ({score['kid']:.3f}{error})"


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with whole_file(str(path)) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
