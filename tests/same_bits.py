"""Whether a run cut in two gives the bits of a run in one piece, many times over.

    python3 -m tests.same_bits [--script train] [--replicas 1] [--count 100] [--busy] [--set ...]

A comparison is four updates in one go, and two, the state written, read back by other networks
with an update of their own, and two more. All arrays after each update are held against those of
the first run of all, bit for bit. Updates are compiled once, so that a comparison takes seconds.
Exit status 1 where there are differences.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import train
import train_longrun
from utils.config.load import load_config
from utils.learning.learners import Part
from utils.learning.models import create_models
from utils.mcmc import starts
from utils.replicas import Replicas
from utils.run import states

UPDATES, CUT = 4, 2
SMALL = ("batch_size=4", "ebm_width=4", "gen_width=4", "persistent_size=8")
SETTINGS = {  # of the second, the one that was seen to differ: generated data, 2 rows of counts
    "train": ("configs/smoke.py", *SMALL, "mcmc_step_info=[[2,0,0.5,0]]"),
    "train_longrun": (
        "configs_lr/smoke.py", *SMALL, "burnin_size=8", "mcmc_step_info=[[2,2,2,0],[2,2,5,3]]",
        "data_type=generator", "mcmc_init=coop_persistent", "gen_type=gen_sngan",
    ),
}  # fmt: skip
Arrays = Mapping[str, np.ndarray]


class World(NamedTuple):
    """A training without a run folder: its update, and the parts of its state."""

    update: Callable[[int], Any]
    parts: Mapping[str, Part]


class Difference(NamedTuple):
    """Arrays that differ, with by how much at most, and the update that they first differ after."""

    update: int
    arrays: Mapping[str, float]

    def __str__(self) -> str:
        named = [f"{name} by {size:.1e}" for name, size in self.arrays.items()]
        more = f" and {len(named) - 5} others" if len(named) > 5 else ""
        return f"after update {self.update}: {', '.join(named[:5])}{more}"


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, tell of every difference, and exit 1 if there was one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--script", choices=SETTINGS, default="train")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--count", type=int, default=100, help="comparisons")
    parser.add_argument("--busy", action="store_true", help="two busy processes run beside it")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="config keys")
    arguments = parser.parse_args(argv)
    began, differing = time.time(), 0
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if arguments.busy:
            stack.enter_context(two_busy_processes())
        settings = [f"data_dir={folder}/data", f"num_replicas={arguments.replicas}", *arguments.set]
        found = compare(arguments.script, settings, arguments.count, Path(folder))
        for number, differences in enumerate(found, 1):
            differing += bool(differences)
            for name, difference in differences.items():
                print(f"comparison {number}, {name}: {difference}", flush=True)
    print(
        f"{arguments.script}, replicas {arguments.replicas}: comparisons {arguments.count}, "
        f"that differ {differing}, {time.time() - began:.0f} s"
    )
    sys.exit(differing > 0)


def compare(
    script: str, settings: Sequence[str], count: int, folder: Path
) -> Iterator[dict[str, Difference]]:
    """Yield for each comparison which of its two runs differ from the first run of all, and how."""
    worlds = [make_world(script, settings) for _ in range(2)]
    start = copies(worlds[0])
    first = run(worlds[:1], start, folder)
    for _ in range(count):
        runs = {"in one piece": worlds[:1], "cut in two": worlds}
        found = {name: difference(first, run(own, start, folder)) for name, own in runs.items()}
        yield {name: wrong for name, wrong in found.items() if wrong is not None}


def make_world(script: str, settings: Sequence[str]) -> World:
    """Build what a script trains, as its `main` does."""
    path, *small = SETTINGS[script]
    config = load_config(path, [*small, *settings], script)
    replicas = Replicas(config)
    sources = starts.open_sources(config, replicas)
    models = create_models(config, replicas, load_learned=True)
    made = (config, replicas, sources, models)
    if script == "train":
        [bank] = starts.create_banks(config, replicas, models.gen, sources, empty=False)
        return World(train.make_update(*made, bank), models.parts() | bank.parts("bank"))
    banks = train_longrun.create_banks(config, replicas, models, sources, empty=False)
    return World(train_longrun.make_update(*made, banks), models.parts() | banks.parts())


def run(worlds: Sequence[World], start: Arrays, folder: Path) -> list[Arrays]:
    """Run from `start`; return the arrays after each update. The last world takes over at the cut.

    It does so by a state in `folder`.
    """
    world, *others = worlds
    restore(world, start)
    after = []
    for number in range(UPDATES):
        if number == CUT and others:
            take_over(world, others[0], folder)
            world = others[0]
        world.update(number)
        after.append(copies(world))
    return after


def take_over(before: World, now: World, folder: Path) -> None:
    """Write the state of a world, and read it back into another."""
    state = str(folder / str(CUT))
    states.write_parts(state, before.parts)
    states.declare_state(state, {"update": CUT, "replicas": 1})
    states.restore_parts(state, states.read_header(state), now.parts)


def copies(world: World) -> Arrays:
    """Return copies of all arrays of a world's state, by part and name."""
    return {
        f"{part}/{name}": np.array(array)
        for part, content in world.parts.items()
        for name, array in content.state().items()
    }


def restore(world: World, arrays: Arrays) -> None:
    """Give copies of the arrays back to the parts of a world."""
    for part, content in world.parts.items():
        names = [name for name in arrays if name.startswith(f"{part}/")]
        content.restore({name.removeprefix(f"{part}/"): arrays[name].copy() for name in names})


def difference(first: Sequence[Arrays], other: Sequence[Arrays]) -> Difference | None:
    """Return where two runs begin to differ in a bit, None if they do not."""
    for update, (one, two) in enumerate(zip(first, other, strict=True), 1):
        sizes = {
            name: float(np.abs(one[name].astype(np.float64) - two[name]).max())
            for name in one
            if one[name].tobytes() != two[name].tobytes()
        }
        if sizes:
            return Difference(update, sizes)
    return None


@contextlib.contextmanager
def two_busy_processes() -> Iterator[None]:
    """Let two processes compute all the time."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
