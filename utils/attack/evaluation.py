"""The evaluation of an attack on a batch, round by round: predict, verify apparent breaks, go on.

Only a verified break counts, and a broken image stays broken (the published rule).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.attack.attacks import LOSSES, Leg, legs
from utils.attack.balls import PER_255, Ball, random_in_ball
from utils.attack.defense import Defense, Use
from utils.attack.losses import Loss, margin, rivals
from utils.attack.task import Batch, Search, Seen, Task
from utils.attack.verification import Vote, control, verify, vote
from utils.attack.views import Observation, Round, Values
from utils.seeds import Purpose, host_rng

OnRound = Callable[[int, np.ndarray, int], None]  # round, (n,) unbroken, verifications so far


def attack_batch(
    config: Mapping[str, Any], defense: Defense, batch: Batch, on_round: OnRound,
    natural: Vote | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Attack the images of a batch by all legs; return the arrays that `Record` stores.

    `natural` is the vote on the images themselves, if it is known.
    """
    natural = natural or vote(config, defense, batch, Use.NATURAL, 0)
    evaluation = Evaluation(config, defense, batch, natural, on_round)
    for leg in legs(config):
        evaluation.attack(leg)
    found = {
        "class_path": np.stack(evaluation.path).astype(np.uint8), "labs": batch.labels,
        "indices": batch.indices, "verifications": evaluation.verifications,
    }  # fmt: skip
    if config["attack_control"]:
        found |= control(config, defense, batch, found)
    return {**found, "ims_orig": batch.images, "ims_adv": evaluation.adversarial}


class Evaluation:
    """A batch under attack: which images are still right, and the adversarial images.

    `adversarial` holds a broken image at its verified break. For an unbroken one it holds the last
    image of the leg that left the largest margin.
    """

    def __init__(
        self, config: Mapping[str, Any], defense: Defense, batch: Batch, natural: Vote,
        on_round: OnRound,
    ):  # fmt: skip
        self.config, self.defense, self.batch, self.on_round = config, defense, batch, on_round
        count = len(batch.labels)
        self.right, self.rivals = natural.right.copy(), rivals(natural.logits, batch.labels)
        self.adversarial, self.margins = batch.images.copy(), np.full(count, -np.inf)
        self.verifications = np.zeros(count, np.int32)
        self.path = [self.right.copy()]

    def attack(self, leg: Leg) -> None:
        """Run one leg on the unbroken images, for `adv_steps` + 1 rounds."""
        before, margins = self.adversarial.copy(), self.margins.copy()
        searches, peaks = self._begin(leg), np.full(len(self.right), -np.inf)
        current = np.stack([next(search) for search in searches])
        for step in range(self.config["adv_steps"] + 1):
            self.adversarial[self.right] = current[self.right]
            active = self._active()
            seen = self._observe(leg, step, current, peaks) if len(active) else None
            self.path.append(self.right.copy())
            self.on_round(
                round_of(self.config, leg, step).number, self.right, int(self.verifications.sum())
            )
            if seen is None or step == self.config["adv_steps"]:
                continue
            rows, losses, gradients = self._ascend(leg, seen, active)
            for row, loss, gradient in zip(rows, losses, gradients, strict=True):
                current[row] = searches[row].send(Seen(float(loss), gradient))
        better = self.right & (margins > self.margins)
        self.adversarial[better], self.margins[better] = before[better], margins[better]

    def _begin(self, leg: Leg) -> list[Search]:
        """Return the search of each image; every leg has random draws of its own."""
        config, (images, _, indices) = self.config, self.batch
        seed, radius, norm = config["seed"], config["adv_eps"] * PER_255, config["adv_norm"]
        starts = images
        if config["adv_rand_start"]:
            rngs = [host_rng(seed, Purpose.ATTACK_START, i, leg.number) for i in indices]
            starts = random_in_ball(images, radius, norm, rngs)
        steps, size = config["adv_steps"], config["adv_eta"] * PER_255

        def rng(index: int) -> Callable[[int], np.random.Generator]:
            return lambda step: host_rng(seed, Purpose.ATTACK_SEARCH, index, leg.number, step)

        return [
            leg.kind.search(Task(Ball(image, radius, norm), start, steps, size, rng(index)))
            for image, start, index in zip(images, starts, indices, strict=True)
        ]

    def _active(self) -> np.ndarray:
        """Return the rows to purify: those of unbroken images, or all rows without packing."""
        count = len(self.right)
        return np.flatnonzero(self.right) if self.config["attack_packing"] else np.arange(count)

    def _observe(self, leg: Leg, step: int, current: np.ndarray, peaks: np.ndarray) -> Observation:
        """Observe the active images, and verify those that seem broken."""
        config, labels, rows = self.config, self.batch.labels, self._active()
        at_current = Batch(current, labels, self.batch.indices)
        now = round_of(config, leg, step)
        seen = leg.kind.view(self.defense, at_current.of(rows), now)
        self.margins[rows] = margin(seen.logits, labels[rows])[0]
        seem_broken = self.right[rows] & (seen.logits.argmax(axis=1) != labels[rows])
        if leg.kind.at_peaks:
            seem_broken &= self.margins[rows] > peaks[rows]
            peaks[rows] = np.maximum(peaks[rows], self.margins[rows])
        candidates = rows[seem_broken]
        self.verifications[candidates] += 1
        self.right[candidates] = verify(config, self.defense, at_current, candidates, now.number)
        return seen

    def _ascend(
        self, leg: Leg, seen: Observation, active: np.ndarray
    ) -> tuple[np.ndarray, *Values]:
        """Return the active rows whose search continues, with their losses and gradients."""
        packs = self.config["attack_packing"]
        held = self.right[active] if packs else np.ones(len(active), bool)
        rows = active[held]
        if not len(rows):
            return rows, np.zeros(0), np.zeros(0)
        labels, targets = self.batch.labels[active], self.rivals[active, leg.target]
        return rows, *seen.ascend(held, loss_of(self.config, leg, labels, targets))


def round_of(config: Mapping[str, Any], leg: Leg, step: int) -> Round:
    """Return the round of a leg's step."""
    first = leg.number * (config["adv_steps"] + 1)
    return Round(first + step, first, config["eot_attack_reps"], config["attack_gradient"])


def loss_of(config: Mapping[str, Any], leg: Leg, labels: np.ndarray, targets: np.ndarray) -> Loss:
    """Return (logits, held) -> a leg's losses and slopes of the `held` ones among these images."""
    loss = leg.kind.loss or LOSSES[config["attack_loss"]]
    return lambda logits, held: loss(logits, labels[held], targets[held])


def time_round(
    config: Mapping[str, Any], defense: Defense, batch: Batch
) -> Callable[[int], object]:
    """Return a function that does the work of a round without breaks and verifications."""
    leg, every = legs(config)[0], np.ones(len(batch.labels), bool)

    def attack_round(number: int) -> object:
        seen = leg.kind.view(defense, batch, round_of(config, leg, number))
        targets = rivals(seen.logits, batch.labels)[:, leg.target]
        return seen.ascend(every, loss_of(config, leg, batch.labels, targets))

    return attack_round
