"""What an update of train.py or train_longrun.py spends its time on, at several bank sizes.

    python3 -m benchmarks.update configs/quickstart.py [--set KEY=VALUE ...] [--sizes 1000 10000]
    python3 -m benchmarks.update configs_lr/emoji32_conv.py --set prior_weights=PATH

Times the script's own update and three others, which take turns with it: without Langevin steps;
and without the generator; and without networks, so that only drawing from and writing to the bank,
the data batch, transfers, and TensorFlow's call are left. Parts are the medians of the differences
in a turn. Both banks of train_longrun.py have the given size. Peak memory is that of the process
beyond the banks' own bytes (Linux only).
"""

import argparse
import contextlib
import dataclasses
import itertools
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf

import train
import train_longrun
from utils import starts
from utils.command_line import whole_number
from utils.config import load_config
from utils.data import Dataset, load_data
from utils.devices import make_strategy
from utils.models import Models, create_models, resolve_sizes
from utils.seeds import Purpose

SCRIPTS = {"configs": train, "configs_lr": train_longrun}  # by the folder of a config
BANK_SIZES = {train: ("persistent_size",), train_longrun: ("persistent_size", "burnin_size")}


def main(argv: Sequence[str] | None = None) -> None:
    """Print one row a bank size."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("config")
    parser.add_argument("--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[])
    parser.add_argument("--sizes", type=whole_number(1), nargs="+", default=[1000, 10_000, 50_000])
    parser.add_argument("--repeats", type=whole_number(1), default=20)
    arguments = parser.parse_args(argv)
    print("| bank | ms an update | chain | learning | generator | everything else | "
          "GB beyond the bank |\n|---|---|---|---|---|---|---|")  # fmt: skip
    # A process a size: memory never falls below its peak.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as processes:
        for size in arguments.sizes:
            own = (arguments.config, arguments.set, size, arguments.repeats)
            print(processes.submit(row, *own).result(), flush=True)


def row(path: str, overrides: Sequence[str], size: int, repeats: int) -> str:
    """Return the table's row of one bank size."""
    script, strategy = SCRIPTS[Path(path).parent.name], make_strategy("cpu")
    sizes = [f"{key}={size}" for key in BANK_SIZES[script]]
    config = load_config(path, [*overrides, "device_type=cpu", *sizes], script.__name__)
    config = resolve_sizes(config)
    dataset = None if config["data_type"] == "generator" else load_data(config)
    models = create_models(config, strategy, load_learned=True)
    batch = config["batch_size"]
    banks = script.create_banks(config, models, dataset, batch, strategy, empty=False)
    updates = make_updates(script, config, models, dataset, banks, strategy)
    whole, still, alone, host = seconds_in_turn(updates, repeats)
    generator = (still - alone) * config["mcmc_init"].startswith("coop")
    parts = (whole - still, still - generator - host, generator, host)
    shares = " | ".join(f"{np.median(part) / np.median(whole):.1%}" for part in parts)
    flat = tf.nest.flatten(dict(banks))  # train_longrun.py has pairs of them
    own = sum(array.nbytes for bank in flat for array in bank.state().values())
    beyond = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - own
    return f"| {size:,} | {1e3 * np.median(whole):.1f} | {shares} | {beyond / 1e9:.2f} |"


def make_updates(
    script: ModuleType,
    config: Mapping[str, Any],
    models: Models,
    dataset: Dataset | None,
    banks: Mapping[int, Any],
    strategy: tf.distribute.Strategy,
) -> list[Callable[[int], object]]:
    """Return the whole update, that without steps, and without generator, and without networks."""
    batch = config["batch_size"]
    data = dataset and starts.make_stream(config, dataset, batch, strategy, Purpose.DATA)
    new_states = starts.make_host_source(config, dataset, batch, strategy)
    still = {**config, "mcmc_step_info": [[0, 0, *row[2:]] for row in config["mcmc_step_info"]]}
    alone, learners, states = still, models, new_states
    if config["mcmc_init"].startswith("coop"):  # as if what the generator makes were there
        alone = {**still, "mcmc_init": "persistent"}
        learners = dataclasses.replace(models, gen_learner=None)
        made = [np.zeros((batch, *config["image_dims"]), np.float32)] * len(banks)

        def states(number: int, retry: int) -> list[np.ndarray]:
            return made

    def make(config, models, states):
        return script.make_update(config, models, banks, data, states, batch, strategy)

    updates = [make(config, models, new_states), make(still, models, new_states)]
    updates.append(make(alone, learners, states))
    unaveraged = dataclasses.replace(learners, ebm=dataclasses.replace(models.ebm, average=None))
    with without_networks(script):
        return [*updates, make(alone, unaveraged, states)]


@contextlib.contextmanager
def without_networks(script: ModuleType) -> Iterator[None]:
    """Let updates that are made inside return the images and latents that they get."""
    ours = script.make_replica_update

    def replica_update(number, retry, steps, burn_in, data, images, other, *start, together=None):
        new = () if together is None else (other,)  # train_longrun.py returns new images, too
        return images, other, *new, {"energy_diff": tf.constant(0.0)}

    script.make_replica_update = lambda *_: replica_update
    try:
        yield
    finally:
        script.make_replica_update = ours


def seconds_in_turn(updates: Sequence[Callable[[int], object]], repeats: int) -> np.ndarray:
    """Return the (updates, repeats) seconds of updates that are called in turn."""
    for update in updates:
        update(0)  # traces
    seconds = np.zeros((len(updates), repeats))
    numbers = itertools.count(1)  # no number twice: going back would open an epoch anew
    for turn in range(repeats):
        for place, update in enumerate(updates):
            start = time.perf_counter()
            update(next(numbers))
            seconds[place, turn] = time.perf_counter() - start
    return seconds


if __name__ == "__main__":
    main()
