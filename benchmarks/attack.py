"""Seconds an attack takes per image: broken ones left out (packed), or carried along (plain).

    python3 -m benchmarks.attack [CONFIG] [--set KEY=VALUE ...] [--images 64] [--repeats 3]

Runs `attack_batch` of attack.py, with the defence that attack.py builds, on the first images of the
config's split. The schedules (`attack_packing` True and False) take turns; numbers are medians over
the repeats. Behind an EBM: --set langevin_steps=20 ebm_weights=PATH adv_steps=10.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

import utils.before_tensorflow

import numpy as np

from attack import Batch, attack_batch, batches_from
from utils.attack.defense import Defense, create_defense
from utils.config.command_line import whole_number
from utils.config.load import load_config
from utils.data.streams import load_data, require_labels
from utils.errors import one_line_errors
from utils.replicas import Replicas

SCHEDULES = {"packed": True, "plain": False}  # values of `attack_packing`


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Print one row a schedule."""
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
    defense = create_defense(config, dataset.class_names, Replicas(config))
    (batch,) = batches_from(config, dataset, 1, 2)

    attacked({**config, "adv_steps": 1}, defense, batch)  # traces
    runs: dict[str, list[tuple]] = {name: [] for name in SCHEDULES}
    for _ in range(arguments.repeats):
        for name, packing in SCHEDULES.items():
            runs[name].append(attacked({**config, "attack_packing": packing}, defense, batch))
    print_table(runs, len(batch[0]))


def attacked(
    config: Mapping[str, Any], defense: Defense, batch: Batch
) -> tuple[float, int, np.ndarray]:
    """Attack a batch; return seconds, image-steps, and who was right when."""
    start, before = time.perf_counter(), defense.image_steps
    results = attack_batch(config, defense, batch, lambda number, right, verified: None)
    seconds = time.perf_counter() - start
    return seconds, defense.image_steps - before, results["class_path"]


def print_table(runs: Mapping[str, Sequence[tuple]], count: int) -> None:
    """Print the schedules of `count` images, and whether they come to the same verdicts."""
    print("| schedule | seconds an image [min, max] | x plain | image-steps an image | robust |")
    print("|---|---|---|---|---|")
    plain_seconds = np.array([seconds for seconds, _, _ in runs["plain"]])
    for name, repeats in runs.items():
        seconds = np.array([seconds for seconds, _, _ in repeats])
        _, image_steps, path = repeats[0]
        low, middle, high = (f(seconds) / count for f in (np.min, np.median, np.max))
        speed = np.median(plain_seconds / seconds)
        print(
            f"| {name} | {middle:.3g} [{low:.3g}, {high:.3g}] | {speed:.2f} | "
            f"{image_steps / count:,.0f} | {path[-1].sum()}/{count} |"
        )
    ends = [repeats[0][2][-1] for repeats in runs.values()]
    print(f"\nverdicts that differ: {np.count_nonzero(ends[0] != ends[1])} of {count}")


if __name__ == "__main__":
    main()
