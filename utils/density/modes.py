"""Modes: the classes that chains visit, and their transitions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from utils.density.convergence import settled
from utils.run.plots import save_figure


def count_modes(visits: np.ndarray, of_data: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Summarise the classes of chains (chains, records), beside those of data (n,).

    `transitions`[i][j] counts records of class j that follow class i in a chain; `stays` is the
    share of transitions within a class; `shares` are those of settled chains.
    """
    count = len(names)
    transitions = np.zeros((count, count), np.int64)
    np.add.at(transitions, (visits[:, :-1], visits[:, 1:]), 1)
    return {
        "classes": list(names),
        "visited_per_chain": float(np.mean([len(np.unique(chain)) for chain in visits])),
        "visited": len(np.unique(visits)),
        "stays": float(np.trace(transitions) / max(1, transitions.sum())),
        "transitions": transitions.tolist(),
        "shares": _shares(visits[:, settled(visits.shape[1])], count),
        "data_shares": _shares(of_data, count),
    }


def save_modes(modes: dict[str, Any], path: str) -> None:
    """Plot the shares of classes beside those of data, and the transitions between classes."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    shares, transitions = figure.subplots(1, 2)
    rows = np.arange(len(modes["classes"]))
    shares.barh(rows - 0.2, modes["shares"], height=0.4, label="chains")
    shares.barh(rows + 0.2, modes["data_shares"], height=0.4, label="data")
    shares.set_yticks(rows, modes["classes"])
    shares.set(title="share of each class", xlabel="share")
    shares.legend()
    counts = np.array(modes["transitions"], np.float64)
    picture = transitions.imshow(counts / np.maximum(1, counts.sum(axis=1, keepdims=True)), vmin=0)
    figure.colorbar(picture, ax=transitions)
    transitions.set_yticks(rows, modes["classes"])
    transitions.set(title="share of transitions, from row to column", xlabel="class")
    save_figure(figure, path)


def _shares(classes: np.ndarray, count: int) -> list[float]:
    return (np.bincount(classes.ravel(), minlength=count) / classes.size).tolist()
