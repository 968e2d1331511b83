"""How the time of an update of train.py or train_longrun.py is spent, at several bank sizes.

    python3 -m benchmarks.update configs/quickstart.py [--set KEY=VALUE ...] [--sizes 1000 10000]
    python3 -m benchmarks.update configs_lr/emoji32_conv.py --set prior_weights=PATH

Times the script's update and three others, in turns: without Langevin steps; also without the
generator; also without networks, so that only the draw from the bank, the return to it, the data
batch, transfers and TensorFlow's call remain. Parts are medians of the differences within a turn.
Both banks of train_longrun.py have the given size. Peak memory is that of the process minus the
bytes of the banks (Linux only).
"""

import argparse
import dataclasses
import itertools
import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import utils.before_tensorflow

import numpy as np
import tensorflow as tf

import train
import train_longrun
from utils.config.command_line import whole_number
from utils.config.load import find_config, load_config
from utils.errors import UserError, one_line_errors
from utils.learning.models import Models, create_models, resolve_sizes
from utils.mcmc import starts
from utils.replicas import Replicas
from utils.seeds import Key

SCRIPTS = {"configs": train, "configs_lr": train_longrun}  # by the folder of a config
BANK_SIZES = {train: ("persistent_size",), train_longrun: ("persistent_size", "burnin_size")}

ENDS = {  # the states that an update returns, chosen from those that it drew
    train: lambda start: (start.images, start.latents),
    train_longrun: lambda drawn: (drawn[0].images, *[drawn[1].images] * 2),
}


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Print one row per bank size."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("config")
    parser.add_argument("--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[])
    parser.add_argument("--sizes", type=whole_number(1), nargs="+", default=[1000, 10_000, 50_000])
    parser.add_argument("--repeats", type=whole_number(1), default=20)
    arguments = parser.parse_args(argv)
    if find_config(arguments.config).parent.name not in SCRIPTS:
        raise UserError(f"{arguments.config}: take a config of {' or '.join(SCRIPTS)}")
    print("| bank | ms per update | chain | learning | generator | everything else | "
          "GB beyond the bank |\n|---|---|---|---|---|---|---|")  # fmt: skip
    # One process per size, because the peak of memory never falls.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as processes:
        for size in arguments.sizes:
            own = (arguments.config, arguments.set, size, arguments.repeats)
            print(processes.submit(row, *own).result(), flush=True)


def row(path: str, overrides: Sequence[str], size: int, repeats: int) -> str:
    """Return the row of one bank size."""
    script = SCRIPTS[Path(path).parent.name]
    sizes = [f"{key}={size}" for key in BANK_SIZES[script]]
    config = load_config(path, ["device_type=cpu", *overrides, *sizes], script.__name__)
    config = resolve_sizes(config)
    replicas = Replicas(config)
    sources = starts.open_sources(config, replicas)
    models = create_models(config, replicas, load_learned=True)
    if script is train:
        [banks] = starts.create_banks(config, replicas, models.gen, sources, empty=False)
    else:
        banks = train_longrun.create_banks(config, replicas, models, sources, empty=False)
    updates = make_updates(script, config, replicas, sources, models, banks)
    whole, still, alone, host = seconds_in_turn(updates, repeats)
    generator = (still - alone) * config["mcmc_init"].startswith("coop")
    parts = (whole - still, still - generator - host, generator, host)
    shares = " | ".join(f"{np.median(part) / np.median(whole):.1%}" for part in parts)
    flat = tf.nest.flatten(banks)  # train_longrun.py has two of them
    own = sum(array.nbytes for bank in flat for array in bank.state().values())
    beyond = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - own
    return f"| {size:,} | {1e3 * np.median(whole):.1f} | {shares} | {beyond / 1e9:.2f} |"


def make_updates(
    script: ModuleType,
    config: Mapping[str, Any],
    replicas: Replicas,
    sources: starts.Sources,
    models: Models,
    banks: Any,
) -> list[Callable[[int], object]]:
    """Return four updates: whole, without steps, also without generator, also without networks."""
    still = {**config, "mcmc_step_info": [[0, 0, *row[2:]] for row in config["mcmc_step_info"]]}
    alone, learners, states = still, models, sources
    if config["mcmc_init"].startswith("coop"):  # zeros replace the generator's images
        alone = {**still, "mcmc_init": "persistent"}
        learners = dataclasses.replace(models, gen_learner=None)
        made = np.zeros((replicas.batch_size, *config["image_dims"]), np.float32)
        states = sources._replace(new_states=lambda update, retry: made)
    unaveraged = dataclasses.replace(learners, ebm=dataclasses.replace(models.ebm, average=None))
    return [
        script.make_update(config, replicas, sources, models, banks),
        script.make_update(still, replicas, sources, models, banks),
        script.make_update(alone, replicas, states, learners, banks),
        script.make_update(alone, Idle(replicas, ENDS[script]), states, unaveraged, banks),
    ]


class Idle(Replicas):
    """The same replicas, which return the states that they receive and run no network."""

    def __init__(self, replicas: Replicas, ends: Callable[[Any], tuple]):
        vars(self).update(vars(replicas))
        self.ends = ends

    def compile(self, function: Callable, *arguments: Any, **keywords: Any) -> Callable:
        """Return `Replicas.compile` of a function that only returns its states."""

        def give_back(key: Key, *inputs: Any) -> tuple:
            return self.ends(inputs[-1]), {"energy_diff": tf.constant(0.0)}

        return super().compile(give_back, *arguments, **keywords)


def seconds_in_turn(updates: Sequence[Callable[[int], object]], repeats: int) -> np.ndarray:
    """Return the seconds (updates, repeats) of updates that take turns."""
    for update in updates:
        update(0)  # traces
    seconds = np.zeros((len(updates), repeats))
    steps = itertools.count(1)  # never back to an earlier step, which would open its epoch anew
    for turn in range(repeats):
        for number, update in enumerate(updates):
            start = time.perf_counter()
            update(next(steps))
            seconds[number, turn] = time.perf_counter() - start
    return seconds


if __name__ == "__main__":
    main()
