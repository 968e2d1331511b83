"""What no quick test shows: exactness over many kills, and flat memory over 2,000 updates.

    python3 tests/soak.py [SCRIPT ...] [--kills 20] [--updates 1000] [--seed 0]

Runs of all five scripts are killed by SIGKILL at random moments, start-up and the writing of states
among them, and the same command with `--run-dir` is given again each time; in the end every file is
compared with those of an undisturbed run, bit for bit. Takes about half a minute a kill. Exit
status 1 where there are differences.
"""

import argparse
import csv
import json
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

REPOSITORY = Path(__file__).resolve().parent.parent
EBM = ("batch_size=4", "ebm_width=4", "persistent_size=16", "log_freq=20", "info_freq=100",
       "state_freq=2", "num_training_steps={updates}")  # fmt: skip
TRAIN = ("configs/smoke.py", *EBM, "gen_width=4", "mcmc_step_info=[[2,0,0.5,0]]")
COMMANDS = {
    "train": TRAIN,
    "train_longrun": ("configs_lr/smoke.py", *EBM, "burnin_size=8"),
    "train_clf": ("configs_clf/smoke.py", "num_epochs={epochs}", "epoch_steps_tr=2"),
    "fid": ("configs_fid/smoke.py", "num_samples=200", "data_labels=None", "ebm_width=4"),
    "attack": ("configs_attack/smoke.py", "batch_size=4", "end_batch=None", "adv_steps=1"),
}
SHARE_OF_STARTUPS = 0.2  # of kills that come at any moment of the first seconds
STARTUP_SECONDS = 10
MEMORY_UPDATES, MEMORY_EVERY = 2000, 20


def main(argv: Sequence[str] | None = None) -> None:
    """Kill, compare, and weigh."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scripts", nargs="*", help=f"of {', '.join(COMMANDS)} (all)")
    parser.add_argument("--kills", type=int, default=20, help="how often each run is killed")
    parser.add_argument(
        "--updates", type=int, default=1000, help="length of training runs, ten times the epochs"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    arguments = parser.parse_args(argv)
    scripts, differences = arguments.scripts or list(COMMANDS), []
    with tempfile.TemporaryDirectory() as folder:
        for script in scripts:
            lengths = {"updates": arguments.updates, "epochs": arguments.updates // 10}
            settings = [part.format(**lengths) for part in COMMANDS[script]]
            rng = np.random.default_rng(arguments.seed)
            differences += soak(Path(folder), script, settings, arguments.kills, rng)
        if "train" in scripts:
            weigh(Path(folder))
    sys.exit(1 if differences else 0)


def soak(
    root: Path, script: str, settings: Sequence[str], kills: int, rng: np.random.Generator
) -> list[str]:
    """Run undisturbed and killed, tell of every kill and difference; return the differences."""
    one, two = (root / f"{script}_{name}" for name in ("undisturbed", "killed"))

    def begin_or_go_on(folder: Path) -> subprocess.Popen:
        return start(root, script, [settings[0], "--run-dir", str(folder), "--set", *settings[1:]])

    finish(begin_or_go_on(one))
    survived = 0
    while survived < kills:
        process = begin_or_go_on(two)
        told = kill(process, two, rng)
        if told is None:
            finish(process)
            print(f"{script}: over before all kills: give it more --updates", flush=True)
            break
        survived += 1
        print(f"{script}, kill {survived}: {told}", flush=True)
    finish(begin_or_go_on(two))
    differences = list(compare(one, two))
    print(*differences, sep="\n", end="\n" if differences else "")
    print(f"{script}: kills survived: {survived}, differences: {len(differences)}", flush=True)
    return differences


def start(root: Path, script: str, arguments: Sequence[str]) -> subprocess.Popen:
    """Start a script; it prepares data and keeps statistics under `root`."""
    shared = [f"data_dir={root}/data", f"exp_dir={root}/shared"]
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / f"{script}.py"), *arguments, *shared],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> None:
    """Wait for the end of a run, which must be a good one."""
    output = process.communicate()[0]
    if process.returncode:
        sys.exit(f"a run ended with status {process.returncode}:\n{output}")


def kill(process: subprocess.Popen, folder: Path, rng: np.random.Generator) -> str | None:
    """Kill a process at a random moment; return what it was at, None if it was over before."""
    began, before = time.time(), newest_state(folder)
    more, in_startup = int(rng.integers(1, 9)), rng.random() < SHARE_OF_STARTUPS
    if in_startup:
        time.sleep(rng.uniform(0, STARTUP_SECONDS))
    else:
        while process.poll() is None and newest_state(folder) < before + more:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.5))
    if process.poll() is not None:
        return None
    process.kill()
    process.communicate()
    writing = any(folder.rglob(".tmp-*")) or any(
        not (state / "state.json").exists() for state in folder.glob("state/*")
    )
    return (
        f"{time.time() - began:.1f} s after its start, states {before} to {newest_state(folder)}"
        + (", while a file or state was written" if writing else "")
    )


def newest_state(folder: Path) -> int:
    """Return the step of the newest declared state of a run, -1 if none."""
    return max((int(p.parent.name) for p in folder.glob("state/*/state.json")), default=-1)


def compare(one: Path, two: Path) -> Iterator[str]:
    """Yield in what the files of two run folders differ; TensorBoard's and seconds may."""
    names = [{str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()} for run in (one, two)]
    for name in sorted(names[0] ^ names[1]):
        if not name.startswith("logs/"):
            yield f"only one run has {name}"
    for name in sorted(names[0] & names[1]):
        if read := READERS.get(
            "report.json" if name.endswith("report.json") else Path(name).suffix
        ):
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
    """Return the arrays of a state's part or of results, without the seconds that they took."""
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "seconds"}


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


def read_report(path: Path) -> dict[str, np.ndarray]:
    """Return the lines of a report, without the seconds that it took."""
    content = json.loads(path.read_text())
    return {name: np.array(json.dumps(value)) for name, value in content.items()
            if name != "seconds"}  # fmt: skip


READERS = {
    ".npz": read_npz, ".h5": read_h5, ".csv": read_csv, ".png": read_png,
    "report.json": read_report,
}  # fmt: skip


class Weight(NamedTuple):
    """The resident memory of a process after an update."""

    update: int
    kilobytes: int


def weigh(root: Path) -> None:
    """Run 2,000 updates and tell how the memory of the process grows."""
    settings = [part.format(updates=MEMORY_UPDATES) for part in TRAIN[1:]]
    settings += [f"info_freq={MEMORY_EVERY}", "state_freq=100", "log_freq=50"]
    process = start(root, "train", [TRAIN[0], "--set", *settings])
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
