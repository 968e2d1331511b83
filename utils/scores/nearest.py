"""The training pictures nearest to samples: does a model copy its training data?

Distances are Euclidean, in the features of the extractor and in pixels. Held-out pictures are the
control: samples that are not nearer to training pictures than these are no copies.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from utils.images import tile, to_uint8
from utils.run.plots import save_figure

QUERIES = 64  # samples, and as many held-out pictures, whose neighbours are searched
SHOWN, NEAREST = 10, 3  # samples in the figure, and training pictures for each


class Neighbours:
    """The nearest neighbours of n queries (n, d) among all rows so far: distances and images.

    Memory does not grow with the number of rows. Among equal distances the first ones are kept.
    """

    def __init__(self, queries: np.ndarray, shape: tuple[int, ...]):
        self.queries = np.asarray(queries, np.float64)
        self.distances = np.full((len(queries), NEAREST), np.inf)
        self.images = np.zeros((len(queries), NEAREST, *shape), np.float32)
        self.seen = 0

    def search(self, rows: np.ndarray, images: np.ndarray) -> None:
        """Search rows (b, d), which belong to images (b, h, w, c)."""
        self.seen += len(rows)
        every = np.concatenate([self.distances, distances(self.queries, rows)], axis=1)
        order = np.argsort(every, axis=1, kind="stable")[:, :NEAREST]
        self.distances = np.take_along_axis(every, order, axis=1)
        for query in np.flatnonzero((order >= NEAREST).any(axis=1)):
            kept = self.images[query].copy()
            for rank, row in enumerate(order[query]):
                self.images[query, rank] = kept[row] if row < NEAREST else images[row - NEAREST]


def distances(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances (n, b) of queries (n, d) from rows (b, d)."""
    q, r = np.asarray(queries, np.float64), np.asarray(rows, np.float64)
    squares = np.square(q).sum(1)[:, np.newaxis] - 2 * q @ r.T + np.square(r).sum(1)
    return np.sqrt(np.maximum(squares, 0))


def find_nearest(
    features: np.ndarray, images: np.ndarray, data: Iterable[tuple[np.ndarray, np.ndarray]]
) -> dict[str, Neighbours]:
    """Return the nearest neighbours of images among `data`, in features and in pixels.

    `images` (n, h, w, c) around [-1, 1] have the `features` (n, d); `data` are batches of features
    and images.
    """
    flat = np.clip(images, -1, 1).reshape(len(images), -1)
    found = {each: Neighbours(rows, images.shape[1:]) for each, rows in
             {"features": features, "pixels": flat}.items()}  # fmt: skip
    for rows, pictures in data:
        found["features"].search(rows, pictures)
        found["pixels"].search(pictures.reshape(len(pictures), -1), pictures)
    return found


def describe(found: Mapping[str, Neighbours], num_samples: int) -> dict[str, Any]:
    """Return the median distances for `report.json`, of samples (the first queries) and others.

    `of` is how many samples they are medians of.
    """

    def medians(rows: slice) -> dict[str, float]:
        return {n: float(np.median(each.distances[rows, 0])) for n, each in found.items()}

    others = len(found["pixels"].queries) > num_samples
    return {
        "of": num_samples,
        "among": found["pixels"].seen,
        "samples": medians(slice(num_samples)),
        "held_out": medians(slice(num_samples, None)) if others else None,
    }


def message(described: Mapping[str, Any]) -> str:
    """Return the message of the distances to training pictures."""
    own, others = described["samples"], described["held_out"]
    told = [
        f"{each} {own[each]:.4g}" + (f" (held-out data {others[each]:.4g})" if others else "")
        for each in own
    ]
    medians = f"median of {described['of']}: {', '.join(told)}"
    return f"nearest of {described['among']} training pictures, {medians}"


def save_nearest(
    samples: np.ndarray, found: Mapping[str, Neighbours], extractor: str, path: str
) -> None:
    """Plot the first samples (n, h, w, c), and below each its nearest training pictures."""
    count = min(SHOWN, len(samples))
    rows = {"samples": samples[:count, np.newaxis]}
    for each, space in {"features": f"features[{extractor}]", "pixels": "pixels"}.items():
        known = min(NEAREST, found[each].seen)
        rows[f"nearest training pictures, in {space}"] = found[each].images[:count, :known]
    ratios = [images.shape[1] for images in rows.values()]
    figure = Figure(figsize=(max(4, 0.9 * count), 0.9 * sum(ratios) + 1), layout="constrained")
    axes = figure.subplots(len(rows), 1, height_ratios=ratios)
    for own, (title, images) in zip(axes, rows.items(), strict=True):
        grid = tile(to_uint8(images.swapaxes(0, 1).reshape(-1, *images.shape[2:])), columns=count)
        own.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        own.set_title(title, fontsize=10, loc="left")
        own.set_axis_off()
    save_figure(figure, path)
