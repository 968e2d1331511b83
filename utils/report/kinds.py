"""The page of each script: one function per script, from a run folder to sections."""

import json
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from utils.config import keys
from utils.report.blocks import Block, Sections, Table, charts, pictures, slides
from utils.report.charts import Line, chart
from utils.report.density import density
from utils.report.folder import RunFolder
from utils.report.scores import scoring
from utils.report.text import NONE, duration, interval, number

CAPTIONS = {  # of the pictures in `shortrun/`, by the first word of their names, in this order
    **dict.fromkeys(("shortrun", "longrun"), "samples"),
    "persistent": "bank",
    "burnin": "burn-in bank",
    "generator": "generator",
}
CURVES = {  # by title: the columns of metrics, by the names of the curves
    "energy difference, data - samples, over temperature": {"": "energy_diff"},
    "Langevin gradient magnitude": {"": "grad_norm"},
    "loss of the generator": {"": "gen_loss"},
    "Langevin steps per sample": {"": "chain_steps"},
    "share of saturated values": {"": "saturated"},
    "loss": {"training": "loss", "test": "test_loss"},
    "accuracy": {"training": "accuracy", "test": "test_accuracy"},
    "learning rate": {"EBM": "ebm_lr", "generator": "gen_lr", "": "lr"},
}
RECENT = 0.1  # the last share of training, for means
SHOWN = re.compile(r"(?P<what>\D+)(?P<step>\d+)\.png")
PURIFIED = "a row per image: original, adversarial, purified, difference x 8; broken images first"


def training(run: RunFolder) -> Sections:
    """Return the sections of the training of an EBM: curves, pictures over updates, divergences."""
    facts = _learning(run)
    for name, what in {"energy_diff": "energy difference", "grad_norm": "gradient"}.items():
        column = run.metrics.get(name, np.zeros(0))
        recent = column[int(len(column) * (1 - RECENT)) :]
        if len(recent):
            facts[f"{what}, last tenth"] = f"{number(recent.mean())}, std {number(recent.std(), 2)}"
    plots = {
        "diagnostics": "plots/diagnostics.png",
        "draws from the burn-in bank": "plots/burn_in_counts.png",
    }
    return {
        "Result": [_facts(facts)],
        "Pictures": [
            *slides("update", _shown(run)),
            *pictures(run, {"data": "shortrun/data.png"}, enlarged=True),
        ],
        "Curves": [*_curves(run), *pictures(run, plots)],
        "Divergences": _divergences(run),
    }


def classifier(run: RunFolder) -> Sections:
    """Return the sections of the training of a classifier."""
    facts, best = _learning(run), run.record("best.json")
    tested = run.metrics.get("test_accuracy", np.zeros(0))
    if len(tested):
        facts["test accuracy at the end"] = number(tested[-1])
    if best:
        facts["best test accuracy"] = (
            f"{number(best['test_accuracy'])}, after epoch {best['epoch']}, the best of "
            f"{best['chosen_among_tests']} tests"
        )
    sections = {"Result": [_facts(facts)], "Curves": _curves(run)}
    return sections | {"Divergences": _divergences(run)}


def attack(run: RunFolder) -> Sections:
    """Return the sections of an attack."""
    report = run.record("data_log/report.json")
    if not report:
        return {}
    facts = {
        "natural accuracy, 95% interval": interval(report["natural"]),
        "control: random perturbations of full size": interval(report["control"]),
        "robust accuracy": interval(report["robust"]),
        "images": number(report["images"]),
        "verifications": number(report["verifications"]),
        "image-steps of chains": number(report["image_steps"]),
        "time": duration(report["seconds"]),
    }
    accuracies = np.array(report["accuracy_over_rounds"])
    rounds = {"": Line(np.arange(len(accuracies)) - 1, accuracies)}
    curve = chart("verified accuracy", rounds, x="round (-1: natural)", bounds=(0.0, 1.0))
    return {
        "Result": [_facts(facts)],
        "Pictures": pictures(run, {PURIFIED: "data_log/examples.png"}, enlarged=True),
        "Curves": charts([curve]),
    }


KINDS: Mapping[str, Callable[[RunFolder], Sections]] = {
    "train": training,
    "train_longrun": training,
    "train_clf": classifier,
    "fid": lambda run: (density if run.config["exp_type"] == "density" else scoring)(run),
    "attack": attack,
}


def config(run: RunFolder) -> list[Block]:
    """Return the config of a run: the keys that are set and, folded, those with defaults."""
    known = keys.keys_of(run.script)
    unset = {n for n, value in run.config.items() if n in known and known[n].default == value}
    rows = {name: (name, json.dumps(value)) for name, value in run.config.items()}
    defaults = [rows[name] for name in rows if name in unset]
    return [
        Table((), [row for name, row in rows.items() if name not in unset]),
        Table((), defaults, title=f"{len(defaults)} keys have their defaults"),
    ]


def _facts(facts: Mapping[str, str]) -> Table:
    return Table((), list(facts.items()))


def _learning(run: RunFolder) -> dict[str, str]:
    """Return the newest weights per network, and the time of a training."""
    newest: dict[str, tuple[int, str]] = {}
    for name in run.names("checkpoints"):
        network, _, step = name.partition(".")[0].rpartition("_")
        if step.isdecimal():
            newest[network] = max(newest.get(network, (0, "")), (int(step), name))
    facts = {"newest weights": ", ".join(name for _, name in newest.values()) or NONE}
    seconds = run.metrics.get("seconds", np.zeros(0))
    if len(seconds):
        typical = f"{np.median(seconds):.3g} s per {run.progress.unit}"
        facts["time"] = f"{duration(seconds.sum())}, {typical}"
    return facts


def _shown(run: RunFolder) -> Iterable[tuple[str, int, str]]:
    """Yield the pictures of a training: caption, step, path."""
    named = [found for name in run.names("shortrun") if (found := SHOWN.fullmatch(name))]
    for what, caption in CAPTIONS.items():
        for found in named:
            if found["what"] == what:
                yield caption, int(found["step"]), f"shortrun/{found[0]}"


def _curves(run: RunFolder) -> list[Block]:
    """Return the charts of the metrics that a training has."""
    plotted, unit = [], next(iter(run.metrics), "")  # the first column
    for title, columns in CURVES.items():
        lines = {
            name: Line(run.metrics[unit], run.metrics[column])
            for name, column in columns.items()
            if column in run.metrics
        }
        levels = {"": 0.0} if "energy_diff" in columns.values() else {}
        plotted.append(chart(title, lines, x=unit, levels=levels) if lines else None)
    return charts(plotted)


def _divergences(run: RunFolder) -> list[Block]:
    events = run.records("events.jsonl")
    fields = ("update", "reason", "action", "time")
    rows = [[str(event.get(field, NONE)) for field in fields] for event in events]
    return [Table(fields, rows)] if rows else []
