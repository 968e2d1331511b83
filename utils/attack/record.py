"""What an attack leaves: `results.npz` after every batch, the report, the curve and the picture."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from scipy.stats import binomtest

from utils.data.npz import UNREADABLE
from utils.errors import UserError
from utils.files.whole import join, whole_file
from utils.images import save_grid
from utils.run.plots import save_figure


class Record:
    """The results of all batches so far; `data_log/results.npz` is what a resumed run goes on from.

    `class_path` is (adv_steps + 2, n), 1 while an image is classified rightly: row 0 natural, row
    r + 1 after round r. The others are (n,), or images (n, h, w, 3).
    """

    def __init__(self, folder: str, config: Mapping[str, Any], *, resuming: bool):
        self.folder, self.config = join(folder, "data_log"), config
        self.arrays: dict[str, np.ndarray] = {}
        self.batches, self.seconds, self.image_steps = 0, 0.0, 0
        if resuming and tf.io.gfile.exists(self._results):
            self._read()

    @property
    def _results(self) -> str:
        return join(self.folder, "results.npz")

    def add(self, batch: Mapping[str, np.ndarray], seconds: float, image_steps: int) -> None:
        """Take the results of a batch and write everything anew."""
        for name, array in batch.items():
            parts = [self.arrays[name], array] if name in self.arrays else [array]
            self.arrays[name] = np.concatenate(parts, axis=1 if name == "class_path" else 0)
        self.batches += 1
        self.seconds, self.image_steps = self.seconds + seconds, self.image_steps + image_steps
        with (
            whole_file(join(self.folder, "report.json")) as temporary,
            open(temporary, "w") as file,
        ):
            json.dump(self.report(), file, indent=1)
        draw_curve(self.accuracies(), join(self.folder, "accuracy_over_attack.png"))
        # Last: a run killed before goes on with this batch, one killed after has it all.
        done = {"batches": self.batches, "seconds": self.seconds, "image_steps": self.image_steps}
        with whole_file(self._results) as temporary:
            np.savez(temporary, **self.arrays, **done)

    def accuracies(self) -> np.ndarray:
        """Return the accuracy over all images: natural, then after each round."""
        return self.arrays["class_path"].mean(axis=1)

    def report(self) -> dict[str, Any]:
        """Return the result with its intervals, its control and the whole setting."""
        path = self.arrays["class_path"]
        report = {
            "images": path.shape[1],
            "natural": proportion(path[0]),
            "robust": proportion(path[-1]),
            "control": proportion(self.arrays["control"]) if "control" in self.arrays else None,
            "verifications": int(self.arrays["verifications"].sum()),
            "seconds": round(self.seconds, 1),
            "image_steps": self.image_steps,
            "accuracy_over_rounds": self.accuracies().round(6).tolist(),
        }
        return {**report, "setting": dict(self.config)}

    def lines(self) -> str:
        """Return the totals for the console."""
        report = self.report()
        return "  ".join(
            f"{name} {report[name]['accuracy']:.4f} [{report[name]['low']:.3f}, "
            f"{report[name]['high']:.3f}]"
            for name in ("natural", "control", "robust")
            if report[name] is not None
        )

    def _read(self) -> None:
        try:
            with (
                tf.io.gfile.GFile(self._results, "rb") as raw,
                np.load(io.BytesIO(raw.read())) as stored,
            ):
                arrays = {name: stored[name] for name in stored.files}
            self.batches = int(arrays.pop("batches"))
            self.seconds = float(arrays.pop("seconds"))
            self.image_steps = int(arrays.pop("image_steps"))
        except UNREADABLE as error:
            raise UserError(f"{self._results} is damaged: start the attack anew") from error
        self.arrays = arrays


def proportion(right: np.ndarray) -> dict[str, float]:
    """Return accuracy and its 95% Wilson interval (Wilson 1927)."""
    interval = binomtest(int(np.sum(right)), len(right)).proportion_ci(method="wilson")
    return {"accuracy": float(np.mean(right)), "low": interval.low, "high": interval.high}


def draw_curve(accuracies: np.ndarray, path: str) -> None:
    """Draw the accuracy over the rounds of the attack; -1 is the natural one."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.step(np.arange(-1, len(accuracies) - 1), accuracies, where="post")
    axes.set(title="verified accuracy", xlabel="round (-1: natural)", ylim=(0, 1))
    save_figure(figure, path)


def draw_examples(
    originals: np.ndarray, adversarial: np.ndarray, purified: np.ndarray, path: str
) -> None:
    """Draw a row an image: original, adversarial, purified, difference of the first two x 8."""
    difference = np.clip(8 * (adversarial - originals), -1, 1)
    rows = np.stack([originals, adversarial, purified, difference], axis=1)
    save_grid(rows.reshape(-1, *originals.shape[1:]), path, columns=4)
