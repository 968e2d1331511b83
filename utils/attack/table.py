"""The table of attacks on one defence, with the worst case per image over all attacks."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from utils.attack.statistics import proportion
from utils.errors import UserError
from utils.files.npz import read_npz
from utils.files.whole import join

DEFENCE = (
    *("clf_weights", "ebm_weights", "prior_weights", "langevin_steps", "epsilon", "mcmc_temp"),
    *("tau", "eot_defense_reps", "data_type", "split", "seed", "shuffle", "adv_norm", "adv_eps"),
)
HEAD = (
    "| attack | images | natural | control | robust, 95% interval | excess over control | "
    "one shot | right 1 time, M times | s per image | image-steps per image |"
)


class Attack(NamedTuple):
    """A run's name and report; images right before and after it, by index in the data set."""

    name: str
    report: dict[str, Any]
    natural: dict[int, bool]
    robust: dict[int, bool]


def read_attack(folder: str) -> Attack:
    """Return the results in a run folder of `attack.py`; raises UserError if it holds none."""
    path = join(folder, "data_log", "report.json")
    try:
        with tf.io.gfile.GFile(path) as file:
            report = json.load(file)
    except (tf.errors.OpError, ValueError) as error:
        raise UserError(
            f"{folder} is no run of attack.py with a finished batch: name another folder"
        ) from error
    if "one_shot" not in report:
        raise UserError(
            f"an older version wrote {folder}, its report lacks 'one_shot': run the attack again"
        )
    arrays = read_npz(join(folder, "data_log", "results.npz"))
    ends = [arrays["class_path"][row].astype(bool).tolist() for row in (0, -1)]
    indices = arrays["indices"].tolist()
    standing = (dict(zip(indices, end, strict=True)) for end in ends)
    return Attack(name_of(report["setting"]), report, *standing)


def name_of(setting: dict[str, Any]) -> str:
    """Return the name of an attack in the table; `pgd` has the name of its gradient."""
    name, gradient = setting["attack"], setting["attack_gradient"]
    if gradient == "none":
        return "transfer"
    return name if gradient == "bpda" else gradient if name == "pgd" else f"{name}, {gradient}"


def rows_of(attacks: Sequence[Attack]) -> list[str]:
    """Return the lines of the table; raises UserError if the runs attack different defences."""
    first = attacks[0].report["setting"]
    for attack in attacks[1:]:
        if differ := [key for key in DEFENCE if attack.report["setting"][key] != first[key]]:
            raise UserError(
                f"runs differ in '{differ[0]}': compare runs of one defence and one budget"
            )
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    lines += [row_of(attack) for attack in attacks]
    return [*lines, worst_case(attacks)] if len(attacks) > 1 else lines


def row_of(attack: Attack) -> str:
    """Return the row of one attack."""
    report, cost = attack.report, attack.report["cost"]
    spared, excess = report["resubmission"], report["excess"]
    cells = [
        attack.name,
        report["images"],
        f"{report['natural']['accuracy']:.3f}",
        f"{report['control']['accuracy']:.3f}" if report["control"] else "-",
        _interval(report["robust"], "accuracy"),
        _interval(excess, "share") if excess else "-",
        f"{report['one_shot']['accuracy']:.3f}",
        f"{spared[0]:.3f}, {spared[-1]:.3f} (M = {len(spared)})",
        f"{cost['seconds_an_image']:.3g}",
        f"{cost['image_steps_an_image']:,.0f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def worst_case(attacks: Sequence[Attack]) -> str:
    """Return the row of the worst case: an image counts as right if no attack broke it."""
    natural: dict[int, bool] = {}
    robust: dict[int, bool] = {}
    for attack in attacks:
        natural |= attack.natural
        for index, stands in attack.robust.items():
            robust[index] = robust.get(index, True) and stands
    ends = [np.array(list(found.values())) for found in (natural, robust)]
    seconds = sum(attack.report["seconds"] for attack in attacks) / len(robust)
    steps = sum(attack.report["image_steps"] for attack in attacks) / len(robust)
    cells = [
        "worst case of each image", len(robust), f"{ends[0].mean():.3f}", "-",
        _interval(proportion(ends[1]), "accuracy"), "-", "-", "-",
        f"{seconds:.3g}", f"{steps:,.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _interval(found: dict[str, float], name: str) -> str:
    return f"{found[name]:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
