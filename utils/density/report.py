"""`report.json` of a density run, extended after each stage, and its plots."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from utils.files.whole import join, read_json, write_json
from utils.run.plots import save_figure


class DensityReport:
    """The sections of `report.json`; the file is written after every change."""

    def __init__(self, folder: str, head: Mapping[str, Any]):
        self.path, self.sections = join(folder, "report.json"), dict(head)
        if tf.io.gfile.exists(self.path):
            self.sections = read_json(self.path)

    def put(self, name: str, section: Mapping[str, Any]) -> None:
        """Add or replace a section."""
        self.sections[name] = section
        write_json(self.path, self.sections)


def save_bounds(bits: Mapping[str, Mapping[str, float]], base: float, path: str) -> None:
    """Plot the bits per dimension over the steps of annealing, with those of the base."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    steps = [int(name) for name in bits]
    for name, marker in (("forward", "^"), ("reverse", "v")):
        values = [each.get(name, math.nan) for each in bits.values()]
        axes.plot(steps, values, marker=marker, label=name)
    axes.axhline(base, color="grey", linestyle="--", label="base")
    axes.set(xscale="log", xlabel="steps of annealing", ylabel="bits per dimension",
             title="held-out data")  # fmt: skip
    axes.set_xticks(steps, [f"{number:,}" for number in steps])
    axes.minorticks_off()
    axes.legend()
    save_figure(figure, path)


def save_chains(
    steps: Sequence[int],
    statistics: Mapping[str, Mapping[str, np.ndarray]],
    r_hat: Mapping[str, float | None],
    of_data: np.ndarray,
    path: str,
) -> None:
    """Plot each statistic along the chains: median and middle 80% per start, and R-hat if known.

    `statistics` are (n, records) by name and start. The energies of data (n,) are a band.
    """
    figure = Figure(figsize=(15, 6), layout="constrained")
    for axes, (name, by_start) in zip(figure.subplots(2, 4).flat, statistics.items(), strict=True):
        for start, values in by_start.items():
            low, middle, high = np.quantile(values, (0.1, 0.5, 0.9), axis=0)
            axes.plot(steps, middle, label=f"from {start}")
            axes.fill_between(steps, low, high, alpha=0.2)
        found = r_hat.get(name)
        told = "" if found is None else f", R-hat {found:.3f}"
        axes.set(title=f"{name.replace('_', ' ')}{told}", xlabel="Langevin step")
        if name == "energies":
            axes.axhspan(*np.quantile(of_data, (0.1, 0.9)), color="grey", alpha=0.3, label="data")
            axes.legend()
    save_figure(figure, path)


def save_energies(energies: Mapping[str, np.ndarray], path: str) -> None:
    """Plot the distribution of the energies (n,) of each set of images on one axis."""
    figure = Figure(figsize=(7, 1 + 0.6 * len(energies)), layout="constrained")
    axes = figure.subplots()
    for row, values in enumerate(energies.values()):
        low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
        axes.plot([low, high], [row, row], color=f"C{row}", linewidth=6, alpha=0.5)
        axes.plot(middle, row, color=f"C{row}", marker="o")
    axes.set_yticks(range(len(energies)), list(energies))
    axes.invert_yaxis()
    axes.set(xlabel="potential energy: median, middle 90%", xscale="symlog")
    save_figure(figure, path)
