"""The table of attacks on one defence, with the worst case per image over all attacks."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from utils.attack.statistics import excess, proportion
from utils.config.keys import GRADIENT_ATTACKS
from utils.config.load import read_any_run
from utils.errors import UserError
from utils.files.npz import read_npz
from utils.files.whole import join

DEFENSE = (  # keys that say what is attacked, how far, and who decides; beside weights and data
    *("data_type", "data_labels", "label_attribute", "split", "seed", "shuffle", "image_dims"),
    *("net_type", "prior_temp", "langevin_steps", "epsilon", "mcmc_temp", "tau", "precision"),
    *("adv_norm", "adv_eps", "attack_noise", "eot_defense_reps"),
    *("clf_type", "clf_output", "clf_stem", "image_dims_clf", "pixel_scale_clf"),
)
SEARCH = (  # keys that tell attacks of one name apart
    *("attack_list", "attack_loss", "surrogate_steps", "adv_steps", "adv_eta", "adv_rand_start"),
    *("attack_restarts", "eot_attack_reps"),
)
BLIND = ("square", "nes", "transfer")  # attacks without gradients of the purification
HEAD = (
    "| attack | images | natural | control | robust, 95% interval | excess over control | "
    "one shot | right 1 time, M times | s per image | image-steps per image |"
)


class Attack(NamedTuple):
    """A run's name, report and inputs; images right before it, after it, and after its control.

    These are by index in the data set; `control` is empty without a control. Inputs are the
    fingerprints of weights, by config key, and of data, by split.
    """

    name: str
    report: dict[str, Any]
    inputs: dict[str, Any]
    natural: dict[int, bool]
    robust: dict[int, bool]
    control: dict[int, bool]


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
    stored = read_any_run(folder)
    inputs = {**stored.get("weights", {}), **stored.get("data", {})}
    arrays = read_npz(join(folder, "data_log", "results.npz"))
    indices = arrays["indices"].tolist()
    if len(indices) != report["images"]:
        raise UserError(
            f"{folder}: its results are of {len(indices)} images, its report of "
            f"{report['images']}: wait until the attack ends, or resume it"
        )
    natural, robust, control = (
        {} if end is None else dict(zip(indices, end.astype(bool).tolist(), strict=True))
        for end in (*arrays["class_path"][[0, -1]], arrays.get("control"))
    )
    return Attack(name_of(report["setting"]), report, inputs, natural, robust, control)


def name_of(setting: dict[str, Any]) -> str:
    """Return the name of an attack in the table; `pgd` has the name of its gradient."""
    name, gradient = setting["attack"], setting["attack_gradient"]
    if gradient == "none":
        return "transfer"
    return name if gradient == "bpda" else gradient if name == "pgd" else f"{name}, {gradient}"


def rows_of(attacks: Sequence[Attack]) -> list[str]:
    """Return the lines of the table and what it says of masked gradients.

    Raises UserError if the runs attack different defences.
    """
    first, inputs = attacks[0].report["setting"], attacks[0].inputs
    for attack in attacks[1:]:
        setting, own = attack.report["setting"], attack.inputs
        differ = [f"'{key}'" for key in DEFENSE if setting.get(key) != first.get(key)]
        names = {*own, *inputs}
        differ += [f"the content of '{n}'" for n in sorted(names) if own.get(n) != inputs.get(n)]
        if differ:
            raise UserError(
                f"runs differ in {differ[0]}: compare runs of one defence and one budget"
            )
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    lines += [row_of(attack) for attack in told_apart(attacks)]
    return [*lines, worst_case(attacks), *boxes(attacks)] if len(attacks) > 1 else lines


def told_apart(attacks: Sequence[Attack]) -> Iterator[Attack]:
    """Yield the attacks; where several have one name, with the settings that differ in it."""
    for attack in attacks:
        own = attack.report["setting"]
        others = [other.report["setting"] for other in attacks if other.name == attack.name]
        differ = [key for key in SEARCH if any(other.get(key) != own.get(key) for other in others)]
        yield attack._replace(name=", ".join([attack.name, *(f"{k}={own.get(k)}" for k in differ)]))


def row_of(attack: Attack) -> str:
    """Return the row of one attack."""
    report = attack.report
    spared, beyond = report["resubmission"], report["excess"]
    cells = [
        attack.name,
        report["images"],
        f"{report['natural']['accuracy']:.3f}",
        f"{report['control']['accuracy']:.3f}" if report["control"] else "-",
        _interval(report["robust"], "accuracy"),
        _interval(beyond, "share") if beyond else "-",
        f"{report['one_shot']['accuracy']:.3f}",
        f"{spared[0]:.3f}, {spared[-1]:.3f} (M = {len(spared)})",
        f"{report['cost']['seconds_per_image']:.3g}",
        f"{report['image_steps'] / report['images']:,.0f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def worst_case(attacks: Sequence[Attack]) -> str:
    """Return the row of the worst case: an image counts as right if no attack broke it.

    Runs of one seed share the noise of their controls, so that the worst of these is the control
    of the most verifications: a lower bound of what all verifications together break by chance.
    """
    natural, robust, control = (
        worst([getattr(attack, end) for attack in attacks])
        for end in ("natural", "robust", "control")
    )
    seconds = sum(attack.report["seconds"] for attack in attacks) / len(robust)
    steps = sum(attack.report["image_steps"] for attack in attacks) / len(robust)
    beyond = None
    if controlled := control.keys() == robust.keys():
        beyond = excess(*(np.array([end[i] for i in robust]) for end in (control, robust)))
    cells = [
        "worst case of each image", len(robust), f"{np.mean([*natural.values()]):.3f}",
        f"{np.mean([*control.values()]):.3f}" if controlled else "-",
        _interval(proportion(np.array([*robust.values()])), "accuracy"),
        _interval(beyond, "share") if beyond else "-", "-", "-",
        f"{seconds:.3g}", f"{steps:,.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def worst(runs: Sequence[dict[int, bool]]) -> dict[int, bool]:
    """Return whether each image stays right in all runs that have it."""
    return {i: all(run.get(i, True) for run in runs) for run in runs for i in run}


def boxes(attacks: Sequence[Attack]) -> list[str]:
    """Return lines that say whether gradients help, on the images that all attacks have seen.

    A difference of one image counts as chance. Without attacks of both kinds, or without a
    purification, there are no lines.
    """
    if not attacks[0].report["setting"]["langevin_steps"]:
        return []
    blind = [a.robust for a in attacks if a.name in BLIND]
    seeing = [
        a.robust for a in attacks
        if a.report["setting"]["attack"] in GRADIENT_ATTACKS and a.name not in BLIND
    ]  # fmt: skip
    if not (blind and seeing and (common := set.intersection(*map(set, [*blind, *seeing])))):
        return []
    without, through = (
        sum(stands for i, stands in worst(side).items() if i in common) for side in (blind, seeing)
    )
    counts = (
        f"on {len(common)} images attacks without gradients of the purification leave {without}, "
        f"attacks through it {through}"
    )
    verdict = "help" if through < without - 1 else "do not help, they may be masked"
    return ["", f"{counts}: gradients {verdict}"]


def _interval(found: dict[str, float], name: str) -> str:
    return f"{found[name]:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
