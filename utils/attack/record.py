"""What an attack leaves: `results.npz` after every batch, the report, the curve and the picture."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from utils.files.whole import join, whole_file
from utils.images import save_grid
from utils.run.plots import save_figure


class Record:
    """The results of all batches so far, a part of a run's states.

    `class_path` is (adv_steps + 2, n), 1 while an image is classified rightly: row 0 natural, row
    r + 1 after round r. The others are (n,), or images (n, h, w, 3), which `record_image_states`
    asks for.
    """

    def __init__(self, config: Mapping[str, Any]):
        self.config = config
        self.arrays: dict[str, np.ndarray] = {}
        self.batches, self.seconds, self.image_steps = 0, 0.0, 0

    def add(self, batch: Mapping[str, np.ndarray], seconds: float, image_steps: int) -> None:
        """Take the results of a batch."""
        for name, array in batch.items():
            if name.startswith("ims_") and not self.config["record_image_states"]:
                continue
            parts = [self.arrays[name], array] if name in self.arrays else [array]
            self.arrays[name] = np.concatenate(parts, axis=1 if name == "class_path" else 0)
        self.batches += 1
        self.seconds, self.image_steps = self.seconds + seconds, self.image_steps + image_steps

    def write(self, folder: str) -> None:
        """Write report, curve and arrays anew."""
        with whole_file(join(folder, "report.json")) as temporary, open(temporary, "w") as file:
            json.dump(self.report(), file, indent=1)
        draw_curve(self.accuracies(), join(folder, "accuracy_over_attack.png"))
        with whole_file(join(folder, "results.npz")) as temporary:
            # None of our names is `allow_pickle`.
            np.savez(temporary, **self.state())  # pyright: ignore[reportArgumentType]

    def state(self) -> dict[str, np.ndarray]:
        """Return what a resumed run needs."""
        counts = {"batches": self.batches, "seconds": self.seconds, "image_steps": self.image_steps}
        return self.arrays | {name: np.array(count) for name, count in counts.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state`."""
        self.arrays = dict(state)
        self.batches = int(self.arrays.pop("batches"))
        self.seconds = float(self.arrays.pop("seconds"))
        self.image_steps = int(self.arrays.pop("image_steps"))

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
