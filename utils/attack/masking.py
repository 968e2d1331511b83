"""Checks for masked gradients (Athalye et al. 2018): laws that an unmasked attack obeys."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.attack.defense import Defense, Use
from utils.attack.evaluation import OnRound, attack_batch
from utils.attack.losses import margin
from utils.attack.task import Batch
from utils.attack.verification import vote
from utils.attack.views import antithetic_logits, differences, probes
from utils.config.keys import GRADIENT_ATTACKS

DIRECTIONS = 32  # of finite differences, per image
TOLERANCE = 0.05  # a cosine that is lower by less is no hindrance
APART = 2**30  # a round number that no attack reaches
DOUBLINGS = 7  # of the radius; the next radius is the largest

Checks = dict[str, np.ndarray]


def check_masking(
    config: Mapping[str, Any], defense: Defense, batch: Batch, on_round: OnRound
) -> Checks:
    """Return robust accuracies under variations of the attack, and cosines of its gradients.

    For an attack without gradients, `pgd` is checked instead. `on_round` follows every round.
    """
    name = config["attack"] if config["attack"] in GRADIENT_ATTACKS else "pgd"
    kind = config["attack_gradient"].replace("none", "bpda")
    base = {**config, "attack": name, "attack_gradient": kind, "attack_control": False}
    steps, reps = [config["adv_steps"] // 2, config["adv_steps"]], [1, config["eot_attack_reps"]]
    # From a start of its own: from the same one it would be the first half of the whole attack.
    shorter = {"adv_steps": steps[0], "adv_rand_start": True, "seed": config["seed"] + 1}
    natural = vote(base, defense, batch, Use.NATURAL, 0)  # the same for all variations

    def robust(changes: Mapping[str, Any]) -> float:
        found = attack_batch({**base, **changes}, defense, batch, on_round, natural)
        return float(found["class_path"][-1].mean())

    whole = robust({})
    sizes, by_size = [config["adv_eps"]], [whole]
    for size in larger_radii(config["adv_eps"], config["adv_norm"], batch.images[0].size):
        if not by_size[-1]:
            break
        longer = config["adv_eta"] * size / config["adv_eps"]
        sizes.append(size)
        by_size.append(robust({"adv_eps": size, "adv_eta": longer}))
    searches = [
        robust({"attack": name, "attack_gradient": "bpda"}) for name in ("random", "square")
    ]
    checks = {
        "eps": sizes, "robust_by_eps": by_size,
        "steps": steps, "robust_by_steps": [robust(shorter), whole],
        "robust_by_gradient_random_square": [whole, *searches],
        **cosines(base, defense, batch),
    }  # fmt: skip
    if reps[1] > 1 and config["langevin_steps"]:
        checks |= {"reps": reps, "robust_by_reps": [robust({"eot_attack_reps": 1}), whole]}
    return {name: np.array(values) for name, values in checks.items()}


def larger_radii(radius: float, norm: str, pixels: int) -> list[float]:
    """Return growing radii, in 1/255 of the range [0, 1]; the last reaches every image."""
    largest = 255.0 * (np.sqrt(pixels) if norm == "l2" else 1)
    doubled = {min(radius * 2.0**times, largest) for times in range(1, DOUBLINGS + 1)}
    return sorted(size for size in {*doubled, largest} if size > radius)


def judged(checks: Checks, images: int) -> dict[str, bool]:
    """Return which of the laws hold.

    A difference of one image counts as chance, and so do two standard errors of a cosine. Cosines
    without an error, those of one image, are not judged.
    """
    slack = 1 / images + 1e-9
    gradient, random, square = checks["robust_by_gradient_random_square"]
    fewer_steps, steps = checks["robust_by_steps"]
    laws = {
        "robust accuracy goes to 0 as eps grows": bool(checks["robust_by_eps"][-1] == 0),
        "more steps do not raise it": bool(steps <= fewer_steps + slack),
        "random search is no better than gradients": bool(gradient <= random + slack),
        "a black box is no better than a white box": bool(gradient <= square + slack),
    }
    if "robust_by_reps" in checks:  # there are several purifications
        one, reps = checks["robust_by_reps"]
        laws["more repetitions do not raise it"] = bool(reps <= one + slack)
    certain = {name for name in checks if "cosine" in name and np.isfinite(checks[name]).all()}
    if "cosine_attack_differences" in certain:  # runs of before commit 0871702 have none
        mean, error = checks["cosine_attack_differences"]
        laws["its gradient points where the loss rises"] = bool(mean > 2 * error)
    if "cosine_attack_minus_smoothed" in certain:  # there is a purification, and another gradient
        mean, error = checks["cosine_attack_minus_smoothed"]
        agrees = bool(mean + 2 * error >= -TOLERANCE)
        laws["its gradient agrees with differences as well as `smoothed`"] = agrees
    return laws


def cosines(config: Mapping[str, Any], defense: Defense, batch: Batch) -> dict[str, list[float]]:
    """Return the mean cosines of gradients with finite differences, and their standard errors.

    Both are of the margin at the natural images, under the same noise, projected on random
    directions. The gradients are `bpda`, `smoothed` and the attack's own; the difference of the
    last two is taken image by image.
    """
    moves = probes(defense, batch, APART, DIRECTIONS)
    each = antithetic_logits(defense, batch, moves, APART, sharing=2 * DIRECTIONS)
    purified = defense.purify(batch.images, batch.indices, Use.PROBE, APART)
    slopes = margin(defense.logits(purified).mean(axis=1), batch.labels)[1]
    own = config["attack_gradient"] if config["langevin_steps"] else "bpda"
    rises, found = differences(each, slopes), {}
    for kind in dict.fromkeys(["bpda", "smoothed", own] if config["langevin_steps"] else ["bpda"]):
        gradient = defense.gradient(purified, slopes, kind)
        found[kind] = cosine(np.einsum("nhwc,nphwc->np", gradient, moves), rises)
    named = {f"cosine_{kind}_differences": values for kind, values in found.items()}
    named["cosine_attack_differences"] = found[own]
    if config["langevin_steps"] and own != "smoothed":
        named["cosine_attack_minus_smoothed"] = found[own] - found["smoothed"]
    return {name: [values.mean(), standard_error(values)] for name, values in named.items()}


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of a mean of (n,) values, NaN for one value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cosines of rows, (n, k), (n, k) -> (n,); 0 for a zero row."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.maximum(norms, 1e-30)
