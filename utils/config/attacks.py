"""The attacks of a config, and the checks of their keys."""

from collections.abc import Mapping
from typing import Any

from utils.config import keys
from utils.config.record import Config


def attacks_of(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the attacks of a run, in order."""
    if config["attack"] == "ensemble":
        return config["attack_list"]
    is_old_spelling = config["attack"] == "pgd" and config["attack_gradient"] == "none"
    return ["transfer"] if is_old_spelling else [config["attack"]]


def check_attacks(config: Config) -> list[str]:
    """Return the problems of the keys of attacks."""
    names, kind, problems = attacks_of(config), config.attack_gradient, []
    blind = not {*names} & {*keys.GRADIENT_ATTACKS}
    if kind == "none" and names != ["transfer"]:
        problems.append(
            "'attack_gradient' 'none' is the old spelling of attack 'transfer', but the attack is "
            f"'{config.attack}': leave it out"
        )
    elif kind not in ("bpda", "none") and blind:
        problems.append(
            f"'attack_gradient' is '{kind}', but attack '{names[0]}' uses no gradient through the "
            "purification: leave it out"
        )
    if kind == "surrogate" and (config.surrogate_steps or 2**31) >= config.langevin_steps:
        problems.append(
            f"'surrogate_steps' must be below 'langevin_steps' {config.langevin_steps}, not "
            f"{config.surrogate_steps}"
        )
    if config.attack_checks and not config.adv_eps:
        problems.append("'attack_checks' needs 'adv_eps' above 0")
    if config.attack_checks and min(config.attack_checks, config.batch_size) < 2:
        problems.append(
            "'attack_checks' needs 2 images or more in a batch, for standard errors: set it and "
            "'batch_size' to at least 2"
        )
    if "nes" in names and config.eot_attack_reps % 2:
        problems.append(
            f"'eot_attack_reps' {config.eot_attack_reps} must be even: attack 'nes' uses pairs"
        )
    if config.attack_restarts > 1 and not config.adv_rand_start and _repeat(config, names):
        problems.append(
            f"'attack_restarts' {config.attack_restarts} repeats one search: set "
            "adv_rand_start=True"
        )
    return problems


def _repeat(config: Config, names: list[str]) -> bool:
    """Return whether searches from one start are all the same: no noise reaches them."""
    has_noise = config.langevin_steps > 0 and config.attack_noise == "fresh"
    same = {"transfer"} if has_noise else {"transfer", *keys.GRADIENT_ATTACKS}
    return {*names} <= same
