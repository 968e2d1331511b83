"""The whole life cycle on one laptop: what chains of different length make of an EBM.

    python3 -m benchmarks.life_cycle [--quick] [--work DIR] [--out DIR]

Drives the five scripts on emoji32: trains a classifier, and a shortrun, a midrun, and a longrun EBM
with its prior; follows chains of all three from the same generator for 1, 10 and 100 times the
chain that they were trained with; and attacks the classifier, bare and behind each of them. Prints
its budget first. Writes results.json, table.md, picture.png and log.txt. Every stage is a run
folder under `--work`: after a kill the same command goes on, and what is finished is not repeated.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import utils.before_tensorflow

from benchmarks.life_cycle_report import Regime, report
from benchmarks.stages import Stage, Work
from utils.config.load import load_config
from utils.errors import one_line_errors

RATE = 2000  # image-steps/s of one EBM of width 32 on two cores, to plan with
CONFIGS = {
    "classifier": ("train_clf", "configs_clf/emoji32_wrn.py"),
    "shortrun": ("train", "configs/emoji32_nonconv.py"),
    "midrun": ("train", "configs/emoji32_medconv.py"),
    "prior": ("train", "configs/emoji32_prior.py"),
    "longrun": ("train_longrun", "configs_lr/emoji32_conv.py"),
}
REGIMES = ("shortrun", "midrun", "longrun")


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is done: chains scored at 1x and 10x, and at 100x; changes by stage."""

    many: int
    few: int
    changes: Mapping[str, Sequence[str]]


FULL = Size(256, 32, {})
SHORT_TRAINING = ("num_training_steps=40", "batch_size=8", "state_freq=20", "log_freq=40")
QUICK = Size(
    16,
    8,
    {
        "classifier": ("num_epochs=3", "lr_switch_epochs=[1,2]"),
        "shortrun": (*SHORT_TRAINING, "mcmc_step_info=[[5,0,0.5,0]]"),
        "midrun": (*SHORT_TRAINING, "mcmc_step_info=[[5,0,0.25,0]]"),
        "prior": (*SHORT_TRAINING, "mcmc_step_info=[[5,0,0.5,0]]"),
        "longrun": (*SHORT_TRAINING, "mcmc_step_info=[[5,5,1,0]]"),
        "attack": ("batch_size=8", "end_batch=1", "adv_steps=3", "langevin_steps=20"),
    },
)


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not finished, then write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="the same path in minutes; says nothing"
    )
    parser.add_argument("--work", type=Path, help="run folders; default tf_out/life_cycle")
    parser.add_argument("--out", type=Path, help="results; default examples/life_cycle")
    arguments = parser.parse_args(argv)
    size = QUICK if arguments.quick else FULL
    folder = "life_cycle_quick" if arguments.quick else "life_cycle"
    root = arguments.work or Path("tf_out") / folder
    out = arguments.out or (root / "results" if arguments.quick else Path("examples") / folder)

    regimes, stages = make_stages(size)
    with Work(root) as work:
        tell_budget(stages, work)
        for stage in stages:
            work.run(stage)
        report(out, work, regimes)
    print(f"done: {out}", flush=True)


def make_stages(size: Size) -> tuple[list[Regime], list[Stage]]:
    """Return the regimes, and all stages in their order."""
    configs = {stage: load(stage, size) for stage in CONFIGS}
    regimes = [make_regime(name, configs[name]) for name in REGIMES]
    stages = [
        *training_stages(configs, size),
        *(stage for regime in regimes for stage in score_stages(regime, regimes, configs, size)),
        *attack_stages(configs, size),
    ]
    return regimes, stages


def load(stage: str, size: Size) -> dict[str, Any]:
    """Return the complete config of a training stage."""
    script, path = CONFIGS[stage]
    return load_config(path, [*changes_of(stage, size)], script)


def changes_of(stage: str, size: Size) -> tuple[str, ...]:
    """Return the changes of a training stage; weights of earlier stages as `{stage}` fields."""
    prior = ("prior_weights={prior_ebm}",) if stage == "longrun" else ()
    return (*size.changes.get(stage, ()), *prior)


def make_regime(name: str, config: Mapping[str, Any]) -> Regime:
    """Return a regime with the length of its chains in training."""
    return Regime(name, round(mean_chain_steps(config)))


def mean_chain_steps(config: Mapping[str, Any]) -> float:
    """Return the mean number of Langevin steps behind a negative sample, in the steady state.

    Of `train.py`: each draw rejuvenates a state with a probability p, and when it is older than
    `max_mcmc_updates`. Of `train_longrun.py`: an image burns in for `threshold` + 1 draws, and each
    draw from the update bank replaces it with probability 1 / (threshold + 1).
    """
    steps, burn_in, *rule, _ = config["mcmc_step_info"][-1]
    if "burnin_size" in config:
        (threshold,) = rule
        return (threshold + 1) * (burn_in + steps)
    (probability,) = rule
    oldest = config["max_mcmc_updates"] + 2 if config["max_mcmc_updates"] else 100_000
    alive = [(1 - probability) ** draw for draw in range(oldest)]
    mean_draws = sum(number * share for number, share in enumerate(alive, 1)) / sum(alive)
    return burn_in + steps * mean_draws


def training_stages(configs: Mapping[str, Mapping[str, Any]], size: Size) -> list[Stage]:
    """Return the stages that learn."""
    stages = []
    for name, (script, path) in CONFIGS.items():
        config = configs[name]
        if script == "train_clf":
            weights = {"clf": config["num_epochs"]}
            steps = 0
        else:
            updates = config["num_training_steps"]
            weights = {"ebm": updates} | ({"gen": updates} if name == "shortrun" else {})
            steps = updates * config["batch_size"] * config["mcmc_step_info"][-1][0]
            steps *= 4 if name == "longrun" else 1  # two banks, two networks
        stages.append(Stage(name, script, path, changes_of(name, size), steps, weights))
    return stages


def chain_changes(name: str, configs: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the changes that name the EBM of a regime, and its prior."""
    prior = ()
    if name == "longrun":
        prior = ("prior_weights={prior_ebm}", f"prior_temp={configs[name]['prior_temp']}")
    return (f"ebm_weights={{{name}_ebm}}", "clf_weights={classifier_clf}", *prior)


def score_stages(
    regime: Regime,
    regimes: Sequence[Regime],
    configs: Mapping[str, Mapping[str, Any]],
    size: Size,
) -> list[Stage]:
    """Return the stages that score a regime: many chains to 10x, and few to 100x.

    Each is scored where any regime has its 1x, 10x or 100x, for equal numbers of steps.
    """
    lengths = {r.steps * factor for r in regimes for factor in (1, 10, 100)}
    stages = []
    for factor, chains, held_out in ((10, size.many, None), (100, size.few, "test")):
        last = regime.steps * factor
        changes = (
            *chain_changes(regime.name, configs),
            "gen_weights={shortrun_gen}",
            f"num_samples={chains}",
            f"batch_size={min(chains, 64)}",
            f"heldout_split={held_out}",
            f"mcmc_steps={last}",
            f"fid_steps={[0, *sorted(n for n in lengths if n <= last)]}".replace(" ", ""),
        )
        networks = 2 if regime.name == "longrun" else 1
        name = f"{regime.name}_{factor}x"
        path = "configs_fid/emoji32_shortrun.py"
        stages.append(Stage(name, "fid", path, changes, chains * last * networks, {}))
    return stages


def attack_stages(configs: Mapping[str, Mapping[str, Any]], size: Size) -> list[Stage]:
    """Return the stages that attack: the bare classifier, then behind each EBM."""
    path = "configs_attack/emoji32.py"
    own = size.changes.get("attack", ())
    config = load_config(path, own, "attack")
    reps = (config["adv_steps"] + 1) * config["eot_attack_reps"] + 2 * config["eot_defense_reps"]
    rows = config["batch_size"] * config["end_batch"] * reps  # purifications, if nothing breaks
    bare = ("clf_weights={classifier_clf}", "ebm_weights=None")
    changes = (*own, *bare, "langevin_steps=0")
    stages = [Stage("attack_bare", "attack", path, changes, 0, {})]
    for name in REGIMES:
        chain = {key: configs[name][key] for key in ("epsilon", "mcmc_temp", "tau")}
        changes = (
            *own,
            *chain_changes(name, configs),
            *(f"{key}={value}" for key, value in chain.items()),
        )
        networks = 2 if name == "longrun" else 1
        steps = rows * config["langevin_steps"] * networks
        stages.append(Stage(f"attack_{name}", "attack", path, changes, steps, {}))
    return stages


def tell_budget(stages: Sequence[Stage], work: Work) -> None:
    """Tell the image-steps of every stage, and what those that are not finished take."""
    work.say(f"| stage | image-steps | minutes at {RATE:,} a second |\n|---|---|---|")
    minutes = 0.0
    for stage in stages:
        own = stage.image_steps / RATE / 60
        minutes += own * (not work.is_finished(stage.name))
        left = "finished" if work.is_finished(stage.name) else f"{own:.1f}" if own else "no chains"
        work.say(f"| {stage.name} | {stage.image_steps:,} | {left} |")
    work.say(f"| all | {sum(stage.image_steps for stage in stages):,} | {minutes:.0f} |")
    work.say("(a step of an EBM and its prior counts twice; attacks: if nothing breaks)")


if __name__ == "__main__":
    main(sys.argv[1:])
