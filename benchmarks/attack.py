"""Seconds per image and per round of each attack, compared with projected gradient ascent.

    python3 -m benchmarks.attack [CONFIG] [--set KEY=VALUE ...] [--images 64] [--repeats 3]

Runs the attacks of attack.py on its defence, with the first images of the config's split. Attacks
take turns; numbers are medians over the repeats. `plain` is the schedule that keeps broken images
in the batch (`attack_packing` False). Rounds are timed while no image is broken. Behind an EBM:
--set langevin_steps=20 ebm_weights=PATH adv_steps=10.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

import utils.before_tensorflow

import numpy as np

from attack import batches_from
from utils.attack.defense import Defense, create_defense
from utils.attack.evaluation import attack_batch, time_round
from utils.attack.task import Batch
from utils.config.command_line import whole_number
from utils.config.load import load_config
from utils.data.streams import load_data, require_labels
from utils.errors import one_line_errors
from utils.replicas import Replicas

ROUNDS = 3  # timed per attack and repeat
ATTACKS = {  # changes of the config; all attacks are compared with the first
    "pgd": {"attack": "pgd"},
    "pgd, plain": {"attack": "pgd", "attack_packing": False},
    **{name: {"attack": name} for name in ("apgd_ce", "apgd_dlr", "apgd_t", "transfer")},
    **{name: {"attack": name} for name in ("square", "nes")},
}
REPLAYED = {name: {"attack_gradient": name} for name in ("full", "smoothed", "surrogate")}


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Print one row per attack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", default="configs_attack/emoji32.py")
    parser.add_argument("--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[])
    parser.add_argument("--images", type=whole_number(1), default=64)
    parser.add_argument("--repeats", type=whole_number(1), default=3)
    arguments = parser.parse_args(argv)

    overrides = [*arguments.set, f"batch_size={arguments.images}"]
    config = load_config(arguments.config, overrides, "attack")
    dataset = load_data(config, config["split"])
    require_labels(dataset)
    steps = config["langevin_steps"]
    config |= {"surrogate_steps": config["surrogate_steps"] or max(1, steps // 4)}
    defense = create_defense(config, dataset.class_names, Replicas(config))
    (batch,) = batches_from(config, dataset, 1, 2)

    attacks = ATTACKS | REPLAYED if steps > 1 else ATTACKS
    configs = {name: {**config, **changes} for name, changes in attacks.items()}
    for own in configs.values():
        time_round(own, defense, batch)(0)  # traces
    runs: dict[str, list[tuple]] = {name: [] for name in configs}
    for _ in range(arguments.repeats):
        for name, own in configs.items():
            runs[name].append(attacked(own, defense, batch))
    print_table(runs, len(batch.labels))


def attacked(
    config: Mapping[str, Any], defense: Defense, batch: Batch
) -> tuple[float, float, int, np.ndarray]:
    """Attack a batch; return its seconds, the seconds of a round, image-steps and `class_path`."""
    start, before = time.perf_counter(), defense.image_steps
    results = attack_batch(config, defense, batch, lambda number, right, verified: None)
    seconds, steps = time.perf_counter() - start, defense.image_steps - before
    attack_round, start = time_round(config, defense, batch), time.perf_counter()
    for number in range(ROUNDS):
        attack_round(number)
    return seconds, (time.perf_counter() - start) / ROUNDS, steps, results["class_path"]


def print_table(runs: Mapping[str, Sequence[tuple]], count: int) -> None:
    """Print the attacks of `count` images, and how many verdicts of both schedules differ."""
    print(
        "| attack | seconds per image [min, max] | x pgd | seconds per round | x pgd | "
        "image-steps per image | robust |"
    )
    print("|---" * 7 + "|")
    whole, single = (np.array([run[i] for run in runs["pgd"]]) for i in (0, 1))
    for name, repeats in runs.items():
        seconds, rounds = (np.array([run[i] for run in repeats]) for i in (0, 1))
        low, middle, high = (f(seconds) / count for f in (np.min, np.median, np.max))
        _, _, image_steps, path = repeats[0]
        print(
            f"| {name} | {middle:.3g} [{low:.3g}, {high:.3g}] | {np.median(seconds / whole):.2f} | "
            f"{np.median(rounds):.3g} | {np.median(rounds / single):.2f} | "
            f"{image_steps / count:,.0f} | {path[-1].sum()}/{count} |"
        )
    packed, plain = (runs[name][0][3][-1] for name in ("pgd", "pgd, plain"))
    print(
        f"\nverdicts of both schedules that differ: {np.count_nonzero(packed != plain)} of {count}"
    )


if __name__ == "__main__":
    main()
