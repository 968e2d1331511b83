"""The table of attacks: each has a search, a loss to raise, and a view of the defence.

An attack is a sequence of legs: restarts, target classes, or the attacks of an ensemble. Each leg
attacks the images that the legs before it did not break.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from utils.attack import losses, views
from utils.attack.apgd import apgd
from utils.attack.pgd import momentum_pgd, pgd, random_search
from utils.attack.square import square
from utils.attack.task import Search, Task
from utils.config.attacks import attacks_of

TARGETS = losses.LEAST_CLASSES - 1  # target classes of the targeted attack, the nearest ones
LOSSES = {"cross_entropy": losses.cross_entropy, "margin": losses.margin}  # by `attack_loss`


class Kind(NamedTuple):
    """A kind of attack; `loss` None stands for the loss that `attack_loss` names.

    `at_peaks`: an apparent break is verified only at a new peak of the margin, because the search
    tries many images.
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
    """The `number`-th search of an attack, from 0; a targeted one aims at rival class `target`."""

    name: str
    number: int
    target: int

    @property
    def kind(self) -> Kind:
        """The row of `ATTACKS`."""
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
    """Return the number of rounds of an attack, over all legs."""
    return len(legs(config)) * (config["adv_steps"] + 1)
