"""Verification of breaks by fresh purifications, and the control that measures breaks by chance."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from utils.attack.balls import PER_255, random_at_radius
from utils.attack.defense import Defense, Use
from utils.attack.task import Batch
from utils.seeds import Purpose, host_rng


class Vote(NamedTuple):
    """The classification of n images by fresh purifications.

    logits: (n, classes), their mean; right: (n,) bool, by the mean logits; wrong: (n,), the number
    of purifications that are wrong when each is classified by itself.
    """

    logits: np.ndarray
    right: np.ndarray
    wrong: np.ndarray


def vote(config: Mapping[str, Any], defense: Defense, batch: Batch, use: Use, number: int) -> Vote:
    """Return the vote of `eot_defense_reps` purifications on each image."""
    images, labels, indices = batch
    purified = defense.purify(images, indices, use, number, config["eot_defense_reps"])
    each = defense.logits(purified)
    logits, wrong = each.mean(axis=1), each.argmax(axis=2) != labels[:, np.newaxis]
    return Vote(logits, logits.argmax(axis=1) == labels, wrong.sum(axis=1))


def verify(
    config: Mapping[str, Any], defense: Defense, batch: Batch, candidates: np.ndarray, number: int
) -> np.ndarray:
    """Return which candidates (n,) stay right under fresh purifications: (n,) bool.

    With `attack_packing` all are purified together, else one by one.
    """
    groups = [candidates] if config["attack_packing"] else candidates[:, np.newaxis]
    verdicts = [
        vote(config, defense, batch.of(rows), Use.VERIFY, number).right
        for rows in groups
        if len(rows)
    ]
    return np.concatenate([np.zeros(0, bool), *verdicts])


def control(
    config: Mapping[str, Any], defense: Defense, batch: Batch, found: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return which images stay right under random perturbations of the attack's full size.

    `control`: right after as many verifications as the attack took, and at least one; so it counts
    breaks by chance. `control_wrong`: wrong purifications in the first verification.
    """
    right = found["class_path"][0].astype(bool)
    trials, wrong = np.maximum(found["verifications"], 1), np.full(len(right), copies_of(config))
    for trial in range(trials.max(initial=0)):
        rows = np.flatnonzero(right & (trials > trial))
        if not len(rows):
            break
        verdict = vote(
            config, defense, perturbed(config, batch.of(rows), trial), Use.CONTROL, trial
        )
        right[rows] = verdict.right
        if not trial:
            wrong[rows] = verdict.wrong
    return {"control": right.astype(np.uint8), "control_wrong": wrong}


def perturbed(config: Mapping[str, Any], batch: Batch, trial: int) -> Batch:
    """Return images under random perturbations of the attack's full size."""
    images, labels, indices = batch
    rngs = [host_rng(config["seed"], Purpose.ATTACK_CONTROL, i, trial) for i in indices]
    moved = random_at_radius(images, config["adv_eps"] * PER_255, config["adv_norm"], rngs)
    return Batch(moved, labels, indices)


def at_the_end(
    config: Mapping[str, Any], defense: Defense, found: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return one fresh vote on the last image of each attack.

    `one_shot`: which images it gets right; `wrong`: how many of its purifications are wrong. Images
    that were wrong before the attack count as wrong.
    """
    natural = found["class_path"][0].astype(bool)
    rows, right = np.flatnonzero(natural), natural.copy()
    wrong = np.full(len(natural), copies_of(config))
    if len(rows):
        ends = Batch(found["ims_adv"], found["labs"], found["indices"]).of(rows)
        verdict = vote(config, defense, ends, Use.FINAL, 0)
        right[rows], wrong[rows] = verdict.right, verdict.wrong
    return {"one_shot": right.astype(np.uint8), "wrong": wrong}


def copies_of(config: Mapping[str, Any]) -> int:
    """Return the number of purifications per vote; without Langevin steps one is enough."""
    return config["eot_defense_reps"] if config["langevin_steps"] else 1
