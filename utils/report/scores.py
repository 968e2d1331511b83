"""The page of a scoring run: samples, scores, energies of chains, nearest training pictures."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.report.blocks import Block, Sections, Table, charts, pictures, slides
from utils.report.charts import Chart, Line, chart
from utils.report.folder import RunFolder
from utils.report.text import NONE, number, with_error

TRACES = {  # titles, by the names of arrays in `chains.npz`
    "energies": "energy U: median, middle 80%",
    "grad_norms": "Langevin gradient magnitude",
    "acceptance": "Metropolis-Hastings acceptance",
    "saturated": "share of saturated values",
}
WIDE = 30  # the axis is logarithmic if the largest number of steps is so many times the smallest
COPIES = (
    "To the nearest of {} training pictures. Copies would be much nearer than held-out pictures."
)
GRID = re.compile(r"(?:(?P<checkpoint>\d+)_)?grid_(?P<step>\d+)\.png")


def scoring(run: RunFolder) -> Sections:
    """Return the sections of a scoring run; film and chains are those of the best checkpoint."""
    report = run.record("report.json")
    scored = [s["checkpoint"] for s in report.get("scores", []) if s["checkpoint"]]
    best = (report.get("best") or {}).get("checkpoint") or next(iter(scored), None)
    stem, of = (f"{best}_", f" of checkpoint {best}") if best else ("", "")
    film = {f"film of chains{of}": f"images/{stem}film.png"}
    nearest = {f"samples{of} and the nearest training pictures": f"images/{stem}nearest.png"}
    unit = "update of the checkpoint" if scored else "Langevin step"
    validity, near = report.get("validity", {}), report.get("nearest", {})
    data = validity.get(best or "model", {}).get("energy_of_data", {})
    return {
        "Scores": _scores(report) if report.get("scores") else [],
        "Pictures": [*slides(unit, _grids(run)), *pictures(run, film)],
        "Energies": [
            *_chains(run.arrays(f"numpy/{stem}chains.npz"), data.get("mean", np.nan)),
            *validity_rows(validity),
        ],
        "Nearest training pictures": [*pictures(run, nearest), *_nearest(near)],
    }


def _grids(run: RunFolder) -> Iterable[tuple[str, int, str]]:
    """Yield pictures (caption, step, path), of chains over steps or checkpoints over updates."""
    for name in run.names("images"):
        found = GRID.fullmatch(name)
        if found and found["checkpoint"]:
            steps = int(found["step"])
            yield f"after {steps:,} Langevin steps", int(found["checkpoint"]), f"images/{name}"
        elif found:
            yield "the first chains", int(found["step"]), f"images/{name}"


def _scores(report: Mapping[str, Any]) -> list[Block]:
    """Return Fréchet distances and KID, as curves and as a table."""
    scores, name, reference = report["scores"], report["extractor"], report["reference"]
    rows = [
        (
            _subject(s),
            number(s["images"]),
            number(s["fid"]),
            with_error(s["kid"], s["kid_error"]),
            with_error(s.get("kid_change"), s.get("kid_change_error")),
            number((s.get("classes") or {}).get("confidence"), 3),
        )
        for s in scores
    ]
    notes = [
        f"Against {number(reference['images'])} images of {reference.get('data_set', 'data')}, "
        f"split {reference.get('split', NONE)}.",
        *sorted({s["warning"].capitalize() for s in scores if s["warning"]}),
        *(f"Checkpoint {name} is left out: {why}." for name, why in report["left_out"].items()),
    ]
    measures = (f"FID[{name}]", f"KID[{name}]", "KID since the start", "confidence")
    table = Table(("of", "images", *measures), rows, note=" ".join(notes))
    titles = {"fid": f"FID[{name}]", "kid": f"KID[{name}] and its standard error"}
    return [*charts(_curve(scores, what, titles[what]) for what in titles), table]


def _subject(score: Mapping[str, Any]) -> str:
    checkpoint = f" of {score['checkpoint']}" if score["checkpoint"] else ""
    steps = "" if score["steps"] is None else f", {number(score['steps'])} steps"
    return f"{score['of']}{checkpoint}{steps}"


def _curve(scores: Sequence[Mapping[str, Any]], what: str, title: str) -> Chart | None:
    """Plot a score over the steps of chains or, one curve per number of steps, over checkpoints."""
    known = [s for s in scores if s[what] is not None]
    levels = {s["of"]: s[what] for s in known if s["steps"] is None}
    curves: dict[str, list[tuple[float, ...]]] = {}
    for s in known:
        if s["steps"] is None:
            continue
        error = s[f"{what}_error"] or 0.0 if what == "kid" else 0.0
        name = f"{s['steps']:,} steps" if s["checkpoint"] else ""
        x = int(s["checkpoint"] or s["steps"])
        curves.setdefault(name, []).append((x, s[what], s[what] - error, s[what] + error))
    lines = {name: Line(*np.array(sorted(points)).T) for name, points in curves.items()}
    steps = np.concatenate([line.x for line in lines.values()] or [np.zeros(0)])
    if len(set(steps)) < 2:
        return None
    along = "" in lines
    wide = along and steps.max() > WIDE * steps[steps > 0].min()
    unit = "Langevin step" if along else "update of the checkpoint"
    return chart(title, lines, x=unit, levels=levels, log=bool(wide))


def _chains(trace: Mapping[str, np.ndarray], of_data: float) -> list[Block]:
    """Plot the traces of chains over their steps; `of_data` is the mean energy of data, or NaN."""
    plotted = []
    for name, title in TRACES.items():
        if name in trace and len(trace["steps"]) > 1:
            low, middle, high = np.quantile(trace[name], (0.1, 0.5, 0.9), axis=0)
            levels = {"data": of_data} if name == "energies" else {}
            line = Line(trace["steps"], middle, low, high)
            plotted.append(chart(title, {"": line}, x="Langevin step", levels=levels))
    return charts(plotted)


def validity_rows(validity: Mapping[str, Any], of: str = "EBM") -> list[Block]:
    """Return energies and acceptance of chains, one row per scored step, in a table.

    `validity` holds a description for each EBM, or whatever `of` says.
    """
    rows = [
        (
            name,
            number(int(steps)),
            _mean(at["energy"]),
            _mean(found["energy_of_data"]),
            _mean(found["energy_drift"], "per_1000_steps"),
            number(at["acceptance"], 3),
            number(at["saturated"], 3),
        )
        for name, found in validity.items()
        for steps, at in found["at"].items()
    ]
    head = (of, "steps", "energy", "of data", "drift per 1,000 steps", "acceptance", "saturated")
    return [Table(head, rows)] if rows else []


def _nearest(found: Mapping[str, Any]) -> list[Block]:
    """Return the distances of the nearest training pictures to samples and held-out pictures."""
    rows = [
        (f"{'samples' if of == 'samples' else 'held-out pictures'} ({name})",
         number(each[of]["features"]), number(each[of]["pixels"]))
        for name, each in found.items()
        for of in ("samples", "held_out")
        if each[of]
    ]  # fmt: skip
    counts = ", ".join(sorted({number(each["among"]) for each in found.values()}))
    head = ("median distance", "in features", "in pixels")
    return [Table(head, rows, note=COPIES.format(counts))] if rows else []


def _mean(found: Mapping[str, float] | None, name: str = "mean") -> str:
    return NONE if found is None else with_error(found[name], found["standard_error"])
