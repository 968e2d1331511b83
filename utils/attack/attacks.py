"""The table of attacks: how each searches, what it raises, and what it sees of the defence.

An attack is a sequence of legs: restarts, targets, or attacks one after the other, each on the
images that still stand.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from utils.attack import losses, views
from utils.attack.apgd import apgd
from utils.attack.pgd import momentum_pgd, pgd, random_search
from utils.attack.square import square
from utils.attack.task import Search, Task
from utils.config.attacks import attacks_of

TARGETS = losses.LEAST_CLASSES - 1  # nearest other classes, of the targeted attack
LOSSES = {"cross_entropy": losses.cross_entropy, "margin": losses.margin}  # of `attack_loss`


class Kind(NamedTuple):
    """A kind of attack. `loss` None: that of `attack_loss`.

    `at_peaks`: what seems broken is verified at a new peak of the margin alone, since a search
    looks at many images on its way.
    """

    search: Callable[[Task], Search]
    loss: losses.Loss | None
    view: views.View
    targets: int = 1
    at_peaks: bool = False


ATTACKS = {
    "pgd": Kind(pgd, None, views.white_box),
    "apgd_ce": Kind(apgd, losses.cross_entropy, views.white_box),
    "apgd_dlr": Kind(apgd, losses.dlr, views.white_box),
    "apgd_t": Kind(apgd, losses.targeted_dlr, views.white_box, targets=TARGETS),
    "square": Kind(square, losses.margin, views.black_box, at_peaks=True),
    "nes": Kind(momentum_pgd, losses.cross_entropy, views.estimated),
    "transfer": Kind(pgd, None, views.bare_classifier),
    "random": Kind(random_search, losses.margin, views.black_box),  # for comparison
}


class Leg(NamedTuple):
    """One of the searches of an attack, the `number`-th; it aims at the `target`-th other class."""

    name: str
    number: int
    target: int

    @property
    def kind(self) -> Kind:
        """How it attacks."""
        return ATTACKS[self.name]


def legs(config: Mapping[str, Any]) -> list[Leg]:
    """Return the legs of a config's attack, in order."""
    each = [
        (name, target)
        for name in attacks_of(config)
        for _ in range(config["attack_restarts"])
        for target in range(ATTACKS[name].targets)
    ]
    return [Leg(name, number, target) for number, (name, target) in enumerate(each)]


def rounds_of(config: Mapping[str, Any]) -> int:
    """Return the rounds of an attack, all legs together."""
    return len(legs(config)) * (config["adv_steps"] + 1)
