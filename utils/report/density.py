"""The page of a density run: likelihood, outliers, convergence, modes."""

from collections.abc import Mapping
from typing import Any

from utils.report.blocks import Block, Sections, Table, pictures
from utils.report.folder import RunFolder
from utils.report.text import number

WAYS = ("forward", "reverse")  # directions of annealing
LIKELIHOOD = "forward: a lower bound of log Z in expectation; reverse: an estimate"


def density(run: RunFolder, report: Mapping[str, Any]) -> Sections:
    """Return the sections of a density run, for the stages that are done."""
    plots = {name.partition(".")[0]: f"plots/{name}" for name in run.names("plots")}
    modes = {name: path for name, path in plots.items() if name.startswith("modes")}
    chains = {name: path for name, path in plots.items() if name.startswith("chains")}
    ends = {name.partition(".")[0]: f"images/{name}" for name in run.names("images")}
    return {
        "Likelihood": [*_likelihood(report), *pictures(run, _named(plots, "bits_per_dim"))],
        "Outliers": [*_outliers(report), *pictures(run, _named(plots, "outliers"))],
        "Convergence": [*_convergence(report.get("validity", {})), *pictures(run, chains)],
        "Modes": pictures(run, modes),
        "Pictures": pictures(run, ends, enlarged=True),
    }


def _named(plots: Mapping[str, str], name: str) -> dict[str, str]:
    return {name.replace("_", " "): plots[name]} if name in plots else {}


def _likelihood(report: Mapping[str, Any]) -> list[Block]:
    """Return log Z and bits per dimension, one row per number of steps and direction."""
    rows, bits = [], report.get("bits_per_dim", {})
    for steps, found in report.get("log_z", {}).get("by_steps", {}).items():
        for way in (way for way in WAYS if way in found):
            each = found[way]
            size = f"{number(each['effective_size'])} of {each['chains']}"
            told = (each["log_z"], bits["by_steps"][steps][way], each["acceptance"])
            rows.append((number(int(steps)), way, *map(number, told), size))
    head = (
        *("steps of annealing", "direction", "log Z", "bits per dimension"),
        *("acceptance", "effective size"),
    )
    base = f"{LIKELIHOOD}; the base has {number(bits.get('base'))} bits per dimension"
    return [Table(head, rows, note=base)] if rows else []


def _outliers(report: Mapping[str, Any]) -> list[Block]:
    """Return how well each score separates outliers from held-out pictures."""
    rows = [
        (name, score, *(_with_interval(each, what) for what in ("auroc", "fpr95")))
        for name, found in report.get("outliers", {}).items()
        if isinstance(found, Mapping)
        for score, each in found.items()
        if isinstance(each, Mapping)
    ]
    return [Table(("outliers", "score", "AUROC", "FPR95"), rows)] if rows else []


def _with_interval(found: Mapping[str, Any], what: str) -> str:
    low, high = found[f"{what}_interval"]
    return f"{found[what]:.3f} [{low:.3f}, {high:.3f}]"


def _convergence(validity: Mapping[str, Any]) -> list[Block]:
    """Return R-hat and effective sizes per statistic, and the distances between starts."""
    sizes, times = validity.get("ess", {}), validity.get("autocorrelation_steps", {})
    rows = [
        (name, *map(number, (r_hat, sizes[name]["bulk"], sizes[name]["tail"], times[name])))
        for name, r_hat in validity.get("r_hat", {}).items()
    ]
    pairs = [
        (pair, number(test["energy_distance"]), number(test["p_value"]))
        for pair, test in validity.get("between_starts", {}).items()
    ]
    tables = [
        Table(("statistic", "R-hat", "bulk ESS", "tail ESS", "autocorrelation, steps"), rows),
        Table(("chains from", "energy distance", "p"), pairs),
    ]
    return [table for table in tables if table.rows]
