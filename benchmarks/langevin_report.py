"""The report of `benchmarks.langevin`: a table with one row per variant, and a picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

HEAD = (
    "| size | width | batch | variant | image-steps/s [min, max] | x plain "
    "| G multiply-adds | of matmul | of bound |"
)
NAMES = {
    "float32": "ours float32",
    "bfloat16": "ours bfloat16",
    "torch": "PyTorch",
    "torch-compile": "torch.compile",
}


def table_row(row: dict[str, Any]) -> str:
    """Return a Markdown row."""
    low, high = min(row["image_steps_per_second"]), max(row["image_steps_per_second"])
    cells = [row["size"], row["width"], row["batch"], NAMES.get(row["variant"], row["variant"])]
    cells += [f"{row['median']:,.4g} [{low:,.4g}, {high:,.4g}]", f"{row['ratio']:.2f}"]
    cells += [f"{row['multiply_adds'] / 1e9:.3g}"]
    cells += [f"{row['share_of_matmul']:.0%}", f"{row['share_of_bound']:.0%}"]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def bars(rows: Sequence[dict[str, Any]]) -> Figure:
    """Plot the ratios to plain as bars, one group per case; black lines are our bounds."""
    groups = list(dict.fromkeys((row["size"], row["width"], row["batch"]) for row in rows))
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    figure = Figure(figsize=(5 + len(groups), 4.5), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(variants)
    for number, name in enumerate(variants):
        own = [row for row in rows if row["variant"] == name]
        groups_of = [groups.index((row["size"], row["width"], row["batch"])) for row in own]
        centres = np.array(groups_of) + (number - (len(variants) - 1) / 2) * width
        axes.bar(centres, [row["ratio"] for row in own], width, label=NAMES.get(name, name))
        if name != "plain" and not name.startswith("torch"):
            bounds = [row["ratio"] / row["share_of_bound"] for row in own]
            axes.hlines(bounds, centres - width / 2, centres + width / 2, color="black")
    axes.axhline(1, color="grey", linewidth=0.6)
    labels = [f"{size} px\nwidth {width}\nbatch {batch}" for size, width, batch in groups]
    axes.set_xticks(range(len(groups)), labels)
    axes.set(ylabel="image-steps/s, ratio to plain", title="black lines: operation-reduced bound")
    axes.set_ylim(0, 1.4 * max(row["ratio"] for row in rows))  # distant bounds are cut off
    axes.legend(loc="upper left", ncols=min(5, len(variants)))
    return figure
