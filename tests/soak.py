"""What no quick test shows: exactness over many kills, and flat memory over 2,000 updates.

    python3 tests/soak.py [--kills 20] [--updates 1000] [--seed 0]

A run of train.py is killed by SIGKILL at random moments, start-up and the writing of states among
them, and resumed each time; in the end every file is compared with those of an undisturbed run,
bit for bit. Takes about half a minute a kill. Exit status 1 where there are differences.
"""

import argparse
import csv
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

SCRIPT = str(Path(__file__).resolve().parent.parent / "train.py")
SMALL = (
    "batch_size=4", "ebm_width=4", "gen_width=4", "persistent_size=16",
    "mcmc_step_info=[[2,0,0.5,0]]",
)  # fmt: skip
SHARE_OF_STARTUPS = 0.2  # of kills that come at any moment of the first seconds
STARTUP_SECONDS = 10
MEMORY_UPDATES, MEMORY_EVERY = 2000, 20


def main(argv: Sequence[str] | None = None) -> None:
    """Kill, compare, and weigh."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="how often the run is killed")
    parser.add_argument("--updates", type=int, default=1000, help="length of the compared runs")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        differences = soak(Path(folder), arguments.kills, arguments.updates, arguments.seed)
        weigh(Path(folder))
    sys.exit(1 if differences else 0)


def soak(root: Path, kills: int, updates: int, seed: int) -> list[str]:
    """Run undisturbed and killed, tell of every kill and difference; return the differences."""
    settings = [*SMALL, f"num_training_steps={updates}", f"data_dir={root}/data"]
    settings += ["state_freq=2", "log_freq=20", "info_freq=100"]

    def command(name: str) -> list[str]:
        return ["configs/smoke.py", "--set", *settings, f"exp_dir={root / name}"]

    finish(start(command("undisturbed")))
    (undisturbed,) = (root / "undisturbed").iterdir()
    rng = np.random.default_rng(seed)
    process, survived = start(command("killed")), 0
    for number in range(1, kills + 1):
        told = kill(process, root / "killed", rng, may_start_up=number > 1)
        if told is None:
            print("the run is over before all kills: give it more --updates")
            break
        print(f"kill {number}: {told}", flush=True)
        (folder,) = (root / "killed").iterdir()
        process = start(["--resume", str(folder)])
        survived = number
    finish(process)
    (folder,) = (root / "killed").iterdir()
    differences = list(compare(undisturbed, folder))
    print(*differences, sep="\n", end="\n" if differences else "")
    print(f"kills survived: {survived}, differences found: {len(differences)}", flush=True)
    return differences


def start(arguments: Sequence[str]) -> subprocess.Popen:
    """Start train.py."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> None:
    """Wait for the end of a run, which must be a good one."""
    output = process.communicate()[0]
    if process.returncode:
        sys.exit(f"train.py ended with status {process.returncode}:\n{output}")


def kill(
    process: subprocess.Popen, root: Path, rng: np.random.Generator, *, may_start_up: bool
) -> str | None:
    """Kill a process at a random moment; return what it was at, None if it was over before."""
    began, before = time.time(), newest_state(root)
    more, in_startup = int(rng.integers(1, 5)), rng.random() < SHARE_OF_STARTUPS
    if may_start_up and in_startup:
        time.sleep(rng.uniform(0, STARTUP_SECONDS))
    else:
        while process.poll() is None and newest_state(root) < before + 2 * more:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.5))
    if process.poll() is not None:
        return None
    process.kill()
    process.communicate()
    writing = any(root.glob("*/**/.tmp-*")) or any(
        not (folder / "state.json").exists() for folder in root.glob("*/state/*")
    )
    return (
        f"{time.time() - began:.1f} s after its start, states {before} to {newest_state(root)}"
        + (", while a file or state was written" if writing else "")
    )


def newest_state(root: Path) -> int:
    """Return the update of the newest declared state of the only run in a folder, -1 if none."""
    states = root.glob("*/state/*/state.json")
    return max((int(path.parent.name) for path in states), default=-1)


def compare(one: Path, two: Path) -> Iterator[str]:
    """Yield in what the files of two run folders differ; TensorBoard's and seconds may."""
    names = [{str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()} for run in (one, two)]
    for name in sorted(names[0] ^ names[1]):
        if not name.startswith("logs/"):
            yield f"only one run has {name}"
    for name in sorted(names[0] & names[1]):
        if Path(name).suffix in READERS:
            read = READERS[Path(name).suffix]
            first, second = read(one / name), read(two / name)
            keys = sorted(first.keys() | second.keys())
            wrong = [key for key in keys if not same(first.get(key), second.get(key))]
            if wrong:
                yield f"{name} differs in {', '.join(wrong[:5])} and {len(wrong[5:])} others"


def same(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Return whether two arrays are there and equal to the last bit."""
    if first is None or second is None:
        return False
    return (first.dtype, first.shape, first.tobytes()) == (
        second.dtype, second.shape, second.tobytes(),
    )  # fmt: skip


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a state's part."""
    with np.load(path) as arrays:
        return dict(arrays)


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a weights file."""
    arrays = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: arrays.update({name: item[()]} if hasattr(item, "shape") else {})
        )
    return arrays


def read_csv(path: Path) -> dict[str, np.ndarray]:
    """Return the rows of the metrics, without the seconds that an update took."""
    with open(path, newline="") as file:
        rows = [{**row, "seconds": ""} for row in csv.DictReader(file)]
    return {f"row {number}": np.array(list(row.values())) for number, row in enumerate(rows, 1)}


def read_png(path: Path) -> dict[str, np.ndarray]:
    """Return the bytes of a picture."""
    return {"bytes": np.frombuffer(path.read_bytes(), np.uint8)}


READERS = {".npz": read_npz, ".h5": read_h5, ".csv": read_csv, ".png": read_png}


class Weight(NamedTuple):
    """The resident memory of a process after an update."""

    update: int
    kilobytes: int


def weigh(root: Path) -> None:
    """Run 2,000 updates and tell how the memory of the process grows."""
    settings = [*SMALL, f"num_training_steps={MEMORY_UPDATES}", f"info_freq={MEMORY_EVERY}"]
    settings += ["state_freq=100", "log_freq=50", f"data_dir={root}/data", f"exp_dir={root}/long"]
    process = start(["configs/smoke.py", "--set", *settings])
    weights = []
    for line in process.stdout:
        if found := re.match(r"update (\d+)/", line):
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident = re.search(r"VmRSS:\s+(\d+) kB", status)
            if resident:  # (a process that has just ended has none)
                weights.append(Weight(int(found[1]), int(resident[1])))
    finish(process)
    half = [weight for weight in weights if weight.update > MEMORY_UPDATES // 2]
    slope = np.polyfit(*zip(*half, strict=True), 1)[0]
    print(
        f"memory: {weights[0].kilobytes:,} kB after update {weights[0].update}, "
        f"{half[0].kilobytes:,} kB after {half[0].update}, {half[-1].kilobytes:,} kB after "
        f"{half[-1].update}; slope over the second half {1000 * slope:+,.0f} kB per 1,000 updates"
    )


if __name__ == "__main__":
    main()
