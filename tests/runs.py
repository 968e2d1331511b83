"""What the tests of scripts look at in a run folder."""

import csv
import json
from pathlib import Path

import numpy as np

from utils.replicas import Replicas
from utils.run.states import SHARE, list_states, read_header, restore_parts

SMALL_TRAINING = [
    "num_training_steps=4", "batch_size=4", "ebm_width=4", "gen_width=4", "persistent_size=8",
    "mcmc_step_info=[[2,0,0.5,0]]", "info_freq=2", "log_freq=4", "state_freq=2",
]  # fmt: skip


def cpus(count: int = 1, batch_size: int = 4) -> Replicas:
    """Return replicas on so many logical CPUs."""
    device = {"device_type": "cpu", "num_replicas": count, "jit": False, "pieces": 1}
    return Replicas({**device, "batch_size": batch_size})


class Kept:
    """A part of a state that keeps the arrays it gets."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.arrays = state


def state(folder: Path) -> dict[str, np.ndarray]:
    """Return every array of a run's newest state, by part and name; banks as of one process."""
    batch = json.loads((folder / "config.json").read_text())["config"]["batch_size"]
    root = folder / "state"
    newest = str(root / str(list_states(str(root))[-1]))
    header, parts = read_header(newest), {}
    for name in sorted(header["files"]):
        part = name.removesuffix(".npz")
        share = SHARE.match(part)
        parts[f"{share[1]}_0_{batch}" if share else part] = Kept()
    restore_parts(newest, header, parts)
    return {f"{p}/{name}": kept.arrays[name] for p, kept in parts.items() for name in kept.arrays}


def rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a run's metrics."""
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def splits(folder: Path) -> list[str]:
    """Return the splits to whose contents a run is held."""
    return sorted(json.loads((folder / "config.json").read_text())["data"])


def assert_same(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> None:
    """Assert that two states are equal to the last bit."""
    assert list(one) == list(two)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
