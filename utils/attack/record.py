"""What an attack leaves: `results.npz` after every batch, the report, curves and the picture."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from utils.attack.attacks import legs
from utils.attack.masking import judged
from utils.attack.statistics import excess, proportion, resubmission
from utils.attack.verification import copies_of
from utils.errors import UserError
from utils.files.whole import join, whole_file
from utils.images import save_grid
from utils.run.plots import save_figure

CHECK = "check_"  # how names of arrays of `masking` begin
LONG = {"square": (5000, 20)}  # steps and purifications of AutoAttack, where noise is fresh
LONG_BY_GRADIENT = (100, 20)
OLDER = "bf9b3a2"  # goes on with runs whose records lack newer verdicts


class Record:
    """The results of all batches so far, a part of a run's states.

    `class_path` is (rounds + 1, n), 1 while an image is classified rightly: row 0 natural, row
    r + 1 after round r. The others are (n,), or images (n, h, w, 3), which `record_image_states`
    asks for; those of checks that gradients are not masked, `check_...`, have shapes of their own.
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

    def add_checks(self, checks: Mapping[str, np.ndarray]) -> None:
        """Take the results of checks that gradients are not masked."""
        self.arrays |= {f"{CHECK}{name}": array for name, array in checks.items()}

    def write(self, folder: str) -> None:
        """Write report, curves and arrays anew."""
        with whole_file(join(folder, "report.json")) as temporary, open(temporary, "w") as file:
            json.dump(self.report(), file, indent=1)
        curves = {
            "attack": self.resubmission("wrong"),
            "control": self.resubmission("control_wrong"),
        }
        draw_curves(self.accuracies(), curves, join(folder, "accuracy_over_attack.png"))
        with whole_file(join(folder, "results.npz")) as temporary:
            # None of our names is `allow_pickle`.
            np.savez(temporary, **self.state())  # pyright: ignore[reportArgumentType]

    def state(self) -> dict[str, np.ndarray]:
        """Return what a resumed run needs."""
        counts = {"batches": self.batches, "seconds": self.seconds, "image_steps": self.image_steps}
        return self.arrays | {name: np.array(count) for name, count in counts.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state`; raises UserError for those of an older version."""
        self.arrays = dict(state)
        self.batches = int(self.arrays.pop("batches"))
        self.seconds = float(self.arrays.pop("seconds"))
        self.image_steps = int(self.arrays.pop("image_steps"))
        if self.batches and "one_shot" not in self.arrays:
            raise UserError(
                "this attack was begun by an older version, which gave fewer verdicts: go on with "
                f"that, after git checkout {OLDER}"
            )

    def accuracies(self) -> np.ndarray:
        """Return the accuracy over all images: natural, then after each round."""
        return self.arrays["class_path"].mean(axis=1)

    def resubmission(self, name: str) -> np.ndarray | None:
        """Return who is right however often, 1 to M times, an image is submitted; None: unknown."""
        if name not in self.arrays:
            return None
        return resubmission(self.arrays[name], copies_of(self.config))

    def report(self) -> dict[str, Any]:
        """Return the result with its intervals, its controls and the whole setting."""
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
        """Return what each leg of the attack leaves of all images."""
        path, rounds = self.arrays["class_path"], self.config["adv_steps"] + 1
        return [
            {"attack": leg.name, "target": leg.target, **proportion(path[rounds * (number + 1)])}
            for number, leg in enumerate(legs(self.config))
        ]

    def masking(self) -> dict[str, Any]:
        """Return the results of checks that gradients are not masked; empty without them."""
        found = {n: array for n, array in self.arrays.items() if n.startswith(CHECK)}
        checks = {name.removeprefix(CHECK): array for name, array in found.items()}
        listed = {name: array.round(6).tolist() for name, array in checks.items()}
        return {**listed, "holds": judged(checks, self.config["attack_checks"])} if found else {}

    def cost(self) -> dict[str, float]:
        """Return what an image takes, and would take under an attack as long as AutoAttack's."""
        images, config = self.arrays["class_path"].shape[1], self.config
        looks = (config["adv_steps"] + 1) * config["eot_attack_reps"]
        each = [LONG.get(leg.name, LONG_BY_GRADIENT) for leg in legs(config)]
        times = sum(steps * reps for steps, reps in each) / (len(each) * looks)
        return {
            "seconds_an_image": self.seconds / images,
            "image_steps_an_image": self.image_steps / images,
            "times_longer": times,
            "seconds_an_image_then": times * self.seconds / images,
        }

    def lines(self) -> str:
        """Return the totals for the console."""
        report = self.report()
        return "  ".join(
            f"{name} {report[name]['accuracy']:.4f} [{report[name]['low']:.3f}, "
            f"{report[name]['high']:.3f}]"
            for name in ("natural", "control", "robust")
            if report[name] is not None
        )


def _rounded(curve: np.ndarray | None) -> list[float] | None:
    return None if curve is None else curve.round(6).tolist()


def draw_curves(
    accuracies: np.ndarray, resubmitted: Mapping[str, np.ndarray | None], path: str
) -> None:
    """Draw the accuracy over the rounds of the attack, -1 being natural, and over resubmissions."""
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


def draw_examples(
    originals: np.ndarray, adversarial: np.ndarray, purified: np.ndarray, path: str
) -> None:
    """Draw a row an image: original, adversarial, purified, difference of the first two x 8."""
    difference = np.clip(8 * (adversarial - originals), -1, 1)
    rows = np.stack([originals, adversarial, purified, difference], axis=1)
    save_grid(rows.reshape(-1, *originals.shape[1:]), path, columns=4)
