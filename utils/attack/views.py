"""Views: what an attacker observes in a round, from white box to black box.

A view maps the defence, a batch of images and the round to an observation. Logits are averaged over
purifications; losses and gradients are of these mean logits.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from utils.attack.balls import PER_255
from utils.attack.defense import KEPT, Defense, Purified, Use
from utils.attack.losses import Loss
from utils.attack.task import Batch
from utils.seeds import Purpose, host_rng

LOOKS = 2  # purifications of the image itself in a round of NES
Values = tuple[np.ndarray, np.ndarray]  # losses (n,); gradients (n, h, w, c), (n, 0) if unseen


class Round(NamedTuple):
    """A round: its number, that of its leg's first round, purifications per image, the gradient."""

    number: int
    first: int
    reps: int
    gradient: str


class Observation(NamedTuple):
    """Logits (n, classes), and (held, loss) -> losses and gradients of the `held` (n,) images."""

    logits: np.ndarray
    ascend: Callable[[np.ndarray, Loss], Values]


View = Callable[[Defense, Batch, Round], Observation]


def white_box(defense: Defense, batch: Batch, now: Round) -> Observation:
    """Observe the gradients of `attack_gradient`, under fresh noise in every round."""
    kept = now.gradient in KEPT
    purified, logits = _purified(defense, batch, now.number, now.reps, kept)

    def ascend(held: np.ndarray, loss: Loss) -> Values:
        values, slopes = loss(logits[held], held)
        return values, defense.gradient(purified.of(held), slopes, now.gradient)

    return Observation(logits, ascend)


def bare_classifier(defense: Defense, batch: Batch, now: Round) -> Observation:
    """Observe the logits of the defence, but losses and gradients of the bare classifier."""
    _, logits = _purified(defense, batch, now.number, now.reps)

    def ascend(held: np.ndarray, loss: Loss) -> Values:
        bare = defense.bare(batch.images[held])
        values, slopes = loss(defense.logits(bare).mean(axis=1), held)
        return values, defense.gradient(bare, slopes, "bpda")

    return Observation(logits, ascend)


def black_box(defense: Defense, batch: Batch, now: Round) -> Observation:
    """Observe losses only, under the same noise in all rounds of a leg, so that they compare."""
    _, logits = _purified(defense, batch, now.first, now.reps)

    def ascend(held: np.ndarray, loss: Loss) -> Values:
        values, _ = loss(logits[held], held)
        return values, np.zeros((len(values), 0), np.float32)

    return Observation(logits, ascend)


def estimated(defense: Defense, batch: Batch, now: Round) -> Observation:
    """Observe gradients that are estimated from differences of logits (NES, Ilyas et al. 2018).

    Purifications come in pairs: the image plus and minus a random move, under the same noise. A
    move is as long as a step of the attack, `adv_eta`; moved pixels may leave [-1, 1]. The loss
    weighs the differences by its slope at the mean logits. Two more purifications, of the image
    itself, say whether it seems broken.
    """
    moves = probes(defense, batch, now.number, now.reps // 2)
    each = antithetic_logits(defense, batch, moves, now.number)
    around = each.mean(axis=(1, 2))
    _, logits = _purified(defense, batch, now.number, LOOKS)

    def ascend(held: np.ndarray, loss: Loss) -> Values:
        values, slopes = loss(around[held], held)
        rises = differences(each[held], slopes)
        return values, np.einsum("np,nphwc->nhwc", rises, moves[held])

    return Observation(logits, ascend)


def probes(defense: Defense, batch: Batch, number: int, count: int) -> np.ndarray:
    """Return `count` random moves per image, each as long as a step: (n, count, h, w, c)."""
    config, shape = defense.config, batch.images.shape[1:]
    keys = [(config["seed"], Purpose.ATTACK_PROBES, index, number) for index in batch.indices]
    drawn = np.stack([host_rng(*key).standard_normal((count, *shape), np.float32) for key in keys])
    norms = np.sqrt(np.sum(drawn**2, axis=(2, 3, 4), keepdims=True))
    pixels = 1 if config["adv_norm"] == "l2" else np.prod(shape)
    length = config["adv_eta"] * PER_255 * np.sqrt(pixels)
    return drawn * np.float32(length) / norms


def antithetic_logits(
    defense: Defense, batch: Batch, moves: np.ndarray, number: int, sharing: int = 2
) -> np.ndarray:
    """Return the logits (n, count, 2, classes) of images plus and minus `moves`, by equal noise."""
    centers = batch.images[:, np.newaxis]
    both = np.stack([centers + moves, centers - moves], axis=2)
    count, pairs = both.shape[:2]
    both = both.reshape(count, 2 * pairs, *both.shape[3:])
    purified = defense.purify_each(both, batch.indices, Use.PROBE, number, sharing=sharing)
    return defense.logits(purified).reshape(count, pairs, 2, -1)


def differences(each: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Return half the change of a loss from minus to plus each move: (n, count).

    `slopes` (n, classes) is the derivative of the loss with respect to the logits.
    """
    return np.einsum("npc,nc->np", each[:, :, 0] - each[:, :, 1], slopes) / 2


def _purified(
    defense: Defense, batch: Batch, number: int, reps: int, kept: bool = False
) -> tuple[Purified, np.ndarray]:
    """Return the purifications of images and their mean logits (n, classes)."""
    purified = defense.purify(batch.images, batch.indices, Use.ATTACK, number, reps, kept)
    return purified, defense.logits(purified).mean(axis=1)
