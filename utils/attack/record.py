"""The files of an attack, written after every batch: `results.npz`, report, curves, examples."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from utils.attack.attacks import Leg, legs
from utils.attack.masking import judged
from utils.attack.statistics import excess, proportion, resubmission
from utils.attack.verification import copies_of
from utils.attack.views import LOOKS
from utils.errors import UserError, first_line
from utils.files.npz import UNREADABLE, read_arrays, write_npz
from utils.files.whole import join, write_json
from utils.images import save_grid
from utils.run.plots import save_figure

RESULTS = "results.npz"
CHECK = "check_"  # prefix of the arrays of `masking`
LONG = {"square": (5000, 20)}  # AutoAttack's steps, with its purifications for random defences
LONG_BY_GRADIENT = (100, 20)
OLDER = "bf9b3a2"  # the commit that continues runs of older records


class Record:
    """The results of all batches so far; a part of a run's state.

    `class_path` (rounds + 1, n) is 1 while an image is classified correctly: row 0 is natural, row
    r + 1 follows round r. The other arrays are (n,), or images (n, h, w, c) in [-1, 1] if
    `record_image_states` is set. The checks for masked gradients, `check_...`, have other shapes.
    """

    def __init__(self, config: Mapping[str, Any]):
        self.config = config
        self.arrays: dict[str, np.ndarray] = {}
        self.batches, self.seconds, self.image_steps = 0, 0.0, 0

    def add(self, batch: Mapping[str, np.ndarray], seconds: float, image_steps: int) -> None:
        """Append the results of a batch."""
        for name, array in batch.items():
            if name.startswith("ims_") and not self.config["record_image_states"]:
                continue
            parts = [self.arrays[name], array] if name in self.arrays else [array]
            self.arrays[name] = np.concatenate(parts, axis=1 if name == "class_path" else 0)
        self.batches += 1
        self.seconds, self.image_steps = self.seconds + seconds, self.image_steps + image_steps

    def add_checks(self, checks: Mapping[str, np.ndarray]) -> None:
        """Store the results of the checks for masked gradients."""
        self.arrays |= {f"{CHECK}{name}": array for name, array in checks.items()}

    def take_checks(self, folder: str) -> None:
        """Take the checks from the arrays that a run has written; states are older than they are.

        Raises UserError if these arrays are damaged.
        """
        path = join(folder, RESULTS)
        if not tf.io.gfile.exists(path):
            return
        try:
            written = read_arrays(path)
        except UNREADABLE as error:
            raise UserError(
                f"{path} is damaged: {first_line(error)}; delete it, it is written again"
            ) from error
        self.arrays |= {n: array for n, array in written.items() if n.startswith(CHECK)}

    def write(self, folder: str) -> None:
        """Write the report, curves and arrays, in place of older ones."""
        write_json(join(folder, "report.json"), self.report())
        curves = {
            "attack": self.resubmission("wrong"),
            "control": self.resubmission("control_wrong"),
        }
        save_curves(self.accuracies(), curves, join(folder, "accuracy_over_attack.png"))
        write_npz(join(folder, RESULTS), self.state())

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays that a resumed run needs."""
        counts = {"batches": self.batches, "seconds": self.seconds, "image_steps": self.image_steps}
        return self.arrays | {name: np.array(count) for name, count in counts.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Restore the arrays of `state`; raises UserError if an older version wrote them."""
        self.arrays = dict(state)
        self.batches = int(self.arrays.pop("batches"))
        self.seconds = float(self.arrays.pop("seconds"))
        self.image_steps = int(self.arrays.pop("image_steps"))
        if self.batches and "one_shot" not in self.arrays:
            raise UserError(
                "an older version began this attack and recorded less: continue with it, after "
                f"git checkout {OLDER}"
            )

    def accuracies(self) -> np.ndarray:
        """Return the accuracy (rounds + 1,) over all images: natural, then after each round."""
        return self.arrays["class_path"].mean(axis=1)

    def resubmission(self, name: str) -> np.ndarray | None:
        """Return the share of images right every time, for 1 to M submissions; None if unknown."""
        if name not in self.arrays:
            return None
        return resubmission(self.arrays[name], copies_of(self.config))

    def report(self) -> dict[str, Any]:
        """Return the content of `report.json`: results with intervals, controls, and the config."""
        arrays, path = self.arrays, self.arrays["class_path"]
        controlled = "control" in arrays
        report = {
            "images": path.shape[1],
            "natural": proportion(path[0]),
            "robust": proportion(path[-1]),
            "control": proportion(arrays["control"]) if controlled else None,
            "excess": excess(arrays["control"], path[-1]) if controlled else None,
            "one_shot": proportion(arrays["one_shot"]),
            "resubmission": _rounded(self.resubmission("wrong")),
            "control_resubmission": _rounded(self.resubmission("control_wrong")),
            "legs": self.legs(),
            "masking": self.masking(),
            "verifications": int(arrays["verifications"].sum()),
            "seconds": round(self.seconds, 1),
            "image_steps": self.image_steps,
            "cost": self.cost(),
            "accuracy_over_rounds": self.accuracies().round(6).tolist(),
        }
        return {**report, "setting": dict(self.config)}

    def legs(self) -> list[dict[str, Any]]:
        """Return the accuracy over all images after each leg of the attack."""
        path, rounds = self.arrays["class_path"], self.config["adv_steps"] + 1
        return [
            {"attack": leg.name, "target": leg.target, **proportion(path[rounds * (number + 1)])}
            for number, leg in enumerate(legs(self.config))
        ]

    def masking(self) -> dict[str, Any]:
        """Return the results of the checks for masked gradients, {} if there are none."""
        found = {n: array for n, array in self.arrays.items() if n.startswith(CHECK)}
        checks = {name.removeprefix(CHECK): array for name, array in found.items()}
        listed = {name: array.round(6).tolist() for name, array in checks.items()}
        # Of one batch, which may be the only one, and smaller.
        least = (self.config["attack_checks"], self.config["batch_size"], len(self.arrays["labs"]))
        return {**listed, "holds": judged(checks, min(least))} if found else {}

    def cost(self) -> dict[str, float]:
        """Return the cost per image, and that of an attack of the length of `LONG`."""
        images, config = self.arrays["class_path"].shape[1], self.config
        each = legs(config)
        long = sum(self._evaluations(leg, *LONG.get(leg.name, LONG_BY_GRADIENT)) for leg in each)
        own = config["adv_steps"] + 1, config["eot_attack_reps"]
        times = long / sum(self._evaluations(leg, *own) for leg in each)
        return {
            "seconds_per_image": self.seconds / images,
            "image_steps_per_image": self.image_steps / images,
            "times_longer": times,
            "seconds_per_image_then": times * self.seconds / images,
        }

    def _evaluations(self, leg: Leg, rounds: int, reps: int) -> int:
        """Return how often a leg classifies an image; without Langevin steps all are alike."""
        once = not self.config["langevin_steps"] and leg.name != "nes"
        return rounds * (1 if once else reps + LOOKS * (leg.name == "nes"))

    def message(self) -> str:
        """Return the totals as one line for the console."""
        report = self.report()
        return "  ".join(
            f"{name} {report[name]['accuracy']:.4f} [{report[name]['low']:.3f}, "
            f"{report[name]['high']:.3f}]"
            for name in ("natural", "control", "robust")
            if report[name] is not None
        )


def _rounded(curve: np.ndarray | None) -> list[float] | None:
    return None if curve is None else curve.round(6).tolist()


def save_curves(
    accuracies: np.ndarray, resubmitted: Mapping[str, np.ndarray | None], path: str
) -> None:
    """Plot the accuracy over the rounds of the attack, -1 being natural, and over resubmissions."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    over_rounds, over_times = figure.subplots(1, 2)
    over_rounds.step(np.arange(-1, len(accuracies) - 1), accuracies, where="post")
    over_rounds.set(title="verified accuracy", xlabel="round (-1: natural)", ylim=(0, 1))
    known = {name: curve for name, curve in resubmitted.items() if curve is not None}
    for name, curve in known.items():
        over_times.plot(np.arange(1, len(curve) + 1), curve, marker=".", label=name)
    over_times.set(title="right every time", xlabel="times an image is submitted", ylim=(0, 1))
    if known:
        over_times.legend()
    save_figure(figure, path)


def save_examples(
    originals: np.ndarray, adversarial: np.ndarray, purified: np.ndarray, path: str
) -> None:
    """Save a row per image: original, adversarial, purified, difference of the first two x 8.

    All three are (n, h, w, c) in [-1, 1].
    """
    difference = np.clip(8 * (adversarial - originals), -1, 1)
    rows = np.stack([originals, adversarial, purified, difference], axis=1)
    save_grid(rows.reshape(-1, *originals.shape[1:]), path, columns=4)
