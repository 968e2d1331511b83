"""The report of a scoring run: `report.json`, `fid_rec.txt`, and the curve over checkpoints."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from utils.console import print_line
from utils.files.whole import join, read_json, whole_file, write_json
from utils.run.plots import save_figure
from utils.scores.frechet import (
    Statistics,
    frechet_distance,
    kernel_distances,
    mean_with_error,
    score_line,
)
from utils.seeds import Purpose, host_rng

SMALLEST_SUBSETS = 20  # images that 10 subsets of KID need; fewer images make one subset


@dataclasses.dataclass(frozen=True)
class Score:
    """The distances of one set of images from the data.

    `of` names the images; `checkpoint` is None for data, `steps` for images without a chain. `kid`
    and its standard error are None if the reference has no features; the error alone is None if
    there are too few images. `kid_change` is KID less that of the starts of the same chains, over
    the same subsets, with the standard error of paired differences.
    `classes` are those of `describe_classes`, where features are those of a classifier.
    """

    of: str
    checkpoint: str | None
    steps: int | None
    images: int | None
    fid: float
    kid: float | None
    kid_error: float | None
    warning: str | None
    line: str
    kid_change: float | None = None
    kid_change_error: float | None = None
    classes: Mapping[str, Any] | None = None


class Subject(NamedTuple):
    """The images of a score; fields as in `Score`."""

    of: str
    checkpoint: str | None = None
    steps: int | None = None

    def __str__(self) -> str:
        name = " ".join([self.of, *([f"of {self.checkpoint}"] if self.checkpoint else [])])
        return name + ("" if self.steps is None else f" after {self.steps} steps")


def score(
    subject: Subject,
    samples: Statistics,
    reference: Statistics,
    *,
    extractor: str,
    seed: int,
    starts: Statistics | None = None,
) -> Score:
    """Return the distances of a set of images from the reference, with their message.

    `starts` are the images that the chains of the samples began at, in the same order.
    """
    fid = frechet_distance(reference, samples)
    line, _, warning = score_line(extractor, reference, samples, fid).partition("\n")
    kid = error = change = change_error = None
    if samples.features is not None and reference.features is not None:
        distances = _distances(samples.features, reference.features, seed)
        kid, error = mean_with_error(distances)
        line += f", KID[{extractor}] {_text(kid, error)}"
        if starts is not None and starts.features is not None:
            of_starts = _distances(starts.features, reference.features, seed)
            change, change_error = mean_with_error(distances - of_starts)
            line += f", {_text(change, change_error, '+')} since the start"
    return Score(
        **subject._asdict(), images=samples.count, fid=fid, kid=kid, kid_error=error,
        warning=warning or None, line=f"{subject}: {line}",
        kid_change=change, kid_change_error=change_error,
    )  # fmt: skip


def _distances(features: np.ndarray, reference: np.ndarray, seed: int) -> np.ndarray:
    """Return KID of each subset; the subsets are the same for as many images."""
    few = min(len(features), len(reference)) < SMALLEST_SUBSETS
    return kernel_distances(
        features, reference, host_rng(seed, Purpose.SUBSETS), 1 if few else None
    )


def _text(value: float, error: float | None, sign: str = "") -> str:
    return f"{value:{sign}.6g}" + ("" if error is None else f" +- {error:.2g}")


class Report:
    """All scores of a run; `head` names the extractor and the reference."""

    def __init__(self, folder: str, head: Mapping[str, Any]):
        self.folder, self.head = folder, dict(head)
        self.scores: list[Score] = []
        self.validity: dict[str, Any] = {}  # by checkpoint
        self.nearest: dict[str, Any] = {}  # training pictures, by checkpoint
        self.left_out: dict[str, str] = {}  # checkpoint: why
        path = join(folder, "report.json")
        if tf.io.gfile.exists(path):
            stored = read_json(path)
            self.scores = [Score(**each) for each in stored["scores"]]
            self.validity, self.left_out = stored["validity"], stored["left_out"]
            self.nearest = stored.get("nearest", {})

    def put(self, new: Sequence[Score], validity: Mapping[str, Any] | None = None) -> None:
        """Add scores, or replace those of the same images, and write all files.

        `validity` is that of their checkpoint, which must be one and the same.
        """
        if validity is not None:
            self.validity[new[0].checkpoint or "model"] = validity
        by_subject = {(s.of, s.checkpoint, s.steps): s for s in [*self.scores, *new]}
        self.scores = list(by_subject.values())
        self._write()

    def put_nearest(self, checkpoint: str | None, nearest: Mapping[str, Any]) -> None:
        """Add the distances from samples to training pictures, and write all files."""
        self.nearest[checkpoint or "model"] = nearest
        self._write()

    def leave_out(self, checkpoint: str, reason: str) -> None:
        """Record that a checkpoint has no scores, and write all files."""
        self.left_out[checkpoint] = reason
        self._write()

    def best(self) -> Score | None:
        """Return the lowest score of a checkpoint at the end of its chains, None without any."""
        return min(self._curve(), key=lambda s: s.fid, default=None)

    def print_best(self) -> None:
        """Print the best checkpoint, if there is any."""
        if (best := self.best()) is not None:
            print_line(f"best: checkpoint {best.checkpoint}, {best.line}")

    def _curve(self) -> list[Score]:
        """Return each checkpoint's score at the end of its chains."""
        sampled = [s for s in self.scores if s.checkpoint]
        last = max((s.steps for s in sampled if s.steps is not None), default=0)
        return [s for s in sampled if s.steps == last]

    def _write(self) -> None:
        best = self.best()
        content = {
            **self.head,
            "best": best and {"checkpoint": best.checkpoint, "fid": best.fid, "kid": best.kid},
            "validity": self.validity,
            "nearest": self.nearest,
            "left_out": self.left_out,
            "scores": [dataclasses.asdict(s) for s in self.scores],
        }
        write_json(join(self.folder, "report.json"), content)
        lines = [line for s in self.scores for line in (s.line, s.warning) if line]
        with whole_file(join(self.folder, "fid_rec.txt")) as path:
            Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
        if self.head["exp_type"] == "folder" and best:
            self._write_curve(best)

    def _write_curve(self, best: Score) -> None:
        """Write `fid_vals.npy`, rows (checkpoint's update, FID, KID or NaN), and their plot."""
        rows = [
            (int(s.checkpoint), s.fid, np.nan if s.kid is None else s.kid)
            for s in self._curve()
            if s.checkpoint
        ]
        values = np.array(sorted(rows), np.float64)
        with whole_file(join(self.folder, "fid_vals.npy")) as path, open(path, "wb") as file:
            np.save(file, values)
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(values[:, 0], values[:, 1], marker="o")
        axes.set(
            title=f"best: checkpoint {best.checkpoint}",
            xlabel="update of the checkpoint",
            ylabel=f"FID[{self.head['extractor']}]",
        )
        save_figure(figure, join(self.folder, "plots", "fid_curve.png"))
