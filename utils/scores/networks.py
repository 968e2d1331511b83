"""The models of a scoring run: weights of one or many checkpoints, their sizes and sampling."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from utils.config.load import Command
from utils.config.record import Config
from utils.errors import UserError
from utils.learning.models import resolve_sizes
from utils.mcmc.image_chains import Networks
from utils.mcmc.sampling import Sampling, resolve_sampling
from utils.weights.files import find_weights, locate, updates_of
from utils.weights.published import load_weights

PATHS = ("ebm_weights", "gen_weights", "prior_weights", "clf_weights", "ckpt_folder")
SIZES = ("ebm_width", "gen_width", "z_sz")  # of networks, also stored in their weights


class Checkpoint(NamedTuple):
    """Paths of the weights of one update, `name`; None stands for random weights."""

    name: str | None
    ebm: str | None
    gen: str | None


def list_checkpoints(config: Mapping[str, Any]) -> list[Checkpoint]:
    """Return the checkpoints to score, in order; raises UserError if one is missing."""
    if config["exp_type"] != "folder":
        return [Checkpoint(None, config["ebm_weights"], config["gen_weights"])]
    folder, checkpoints = config["ckpt_folder"], []
    ebm, gen = ("ebm_ema", "gen_ema") if config["use_averages"] else ("ebm", "gen")
    if not updates_of(folder, gen):  # the generator has no average
        gen = "gen"
    for step in range(config["min_step"], config["max_step"] + 1, config["step_freq"]):
        gen_weights = config["gen_weights"]
        if config["mcmc_init"] == "coop" and not config["fixed_gen"]:
            gen_weights = find_weights(folder, gen, step)
        checkpoints.append(Checkpoint(str(step), find_weights(folder, ebm, step), gen_weights))
    return checkpoints


def load_networks(networks: Networks, checkpoint: Checkpoint) -> None:
    """Load the weights of a checkpoint."""
    if checkpoint.ebm:
        load_weights(networks.ebm, checkpoint.ebm)
    if networks.gen is not None and checkpoint.gen:
        load_weights(networks.gen, checkpoint.gen)


def resolved(command: Command) -> Command:
    """Return the command with located weights, a new run's also completed by what they store."""
    config = command.config
    config = locate(config, PATHS) if command.resuming else resolve(config)
    return dataclasses.replace(command, config=config)


def resolve(config: Config) -> Config:
    """Return the config with sizes and sampling of the (first) weights, and the number of images.

    Raises UserError if the weights contradict the config, or if the steps do not fit the chain.
    """
    config = locate(config, PATHS)
    checkpoints = list_checkpoints(config)
    if config["mcmc_steps"] is None:
        _require_one_length(checkpoints)
    first = checkpoints[0]
    sizes = resolve_sizes(config | {"ebm_weights": first.ebm, "gen_weights": first.gen})
    result = resolve_sampling(config | {k: sizes[k] for k in SIZES}, first.ebm)
    count = config["num_samples"] or config["num_fid_rounds"] * config["batch_size"]
    if max(config["fid_steps"] or [0]) > result["mcmc_steps"]:
        raise UserError(
            f"'fid_steps' {config['fid_steps']} go beyond 'mcmc_steps' {result['mcmc_steps']}"
        )
    if config["grad_steps"] and not result["mcmc_steps"]:
        raise UserError("'grad_steps' need chains: set 'mcmc_steps' above 0")
    if config["film"] and not result["mcmc_steps"]:
        raise UserError("'film' needs chains: set 'mcmc_steps' above 0")
    return result | {"num_samples": count}


def _require_one_length(checkpoints: Sequence[Checkpoint]) -> None:
    chains = (Sampling.of_weights(c.ebm) for c in checkpoints if c.ebm)
    steps = sorted({chain.steps for chain in chains if chain and chain.steps is not None})
    if len(steps) > 1:
        raise UserError(
            f"the checkpoints of 'ckpt_folder' record chains of {steps[0]} to {steps[-1]} steps: "
            "set 'mcmc_steps'"
        )
