"""Two processes on this machine as two workers: the same run as two replicas in one process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.runs import SMALL_TRAINING, assert_same, rows, state
from utils.data.streams import load_data
from utils.run.states import list_states

Workers = list[subprocess.Popen]


@pytest.fixture
def changes(data_dir) -> list[str]:
    """Return the changes of a small config; its data are prepared, by one process."""
    load_data({"data_type": "emoji32", "data_dir": data_dir, "image_dims": [32, 32, 3]})
    return ["--set", *SMALL_TRAINING, f"data_dir={data_dir}"]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _start_workers(
    arguments: list[str], repository: Path, folder: Path, script: str = "train.py"
) -> Workers:
    hosts = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        workers.append(
            subprocess.Popen(
                [sys.executable, str(repository / script), *arguments],
                cwd=folder,
                env={**os.environ, "TF_CONFIG": json.dumps(task)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return workers


def _wait_for_state(root: Path, update: int, workers: Workers) -> Path:
    """Return the only run folder in `root` once the state of an update is there."""
    while not any(int(path.parent.name) >= update for path in root.glob("*/state/*/state.json")):
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.05)
    return next(root.iterdir())


def _outputs(workers: Workers, seconds: float) -> list[str]:
    return [worker.communicate(timeout=seconds)[0] for worker in workers]


@pytest.mark.slow
def test_a_killed_worker_ends_the_other_and_the_resumed_pair_goes_on_exactly(
    repository, tmp_path, changes
):
    """It ends where two replicas of one process, which nobody disturbed, end: bit for bit."""
    arguments = ["configs/smoke.py", *changes, "num_training_steps=1000000"]
    workers = _start_workers([*arguments, f"exp_dir={tmp_path / 'two'}"], repository, tmp_path)
    folder = _wait_for_state(tmp_path / "two", 4, workers)
    workers[1].kill()
    lines = _outputs(workers, 60)[0].splitlines()
    assert workers[0].returncode == 2, lines
    assert (
        sum(f"to resume: python3 {repository}/train.py --resume {folder}" in x for x in lines) == 1
    )
    assert not any("Traceback" in line for line in lines)

    total = f"num_training_steps={list_states(str(folder / 'state'))[-1] + 3}"
    resumed = _start_workers(["--resume", str(folder), "--set", total], repository, tmp_path)
    outputs = _outputs(resumed, 300)
    assert [worker.returncode for worker in resumed] == [0, 0], outputs
    one = ["configs/smoke.py", *changes, f"exp_dir={tmp_path / 'one'}", "num_replicas=2"]
    # In a process of its own: with the threads of a script, which tests do not have.
    subprocess.run([sys.executable, repository / "train.py", *one, total], cwd=tmp_path, check=True)
    (undisturbed,) = (tmp_path / "one").iterdir()
    assert_same(state(undisturbed), state(folder))
    same = [[row | {"seconds": ""} for row in rows(run)] for run in (undisturbed, folder)]
    assert same[0] == same[1]


def test_a_signal_to_one_worker_stops_all_at_the_same_update(repository, tmp_path, changes):
    arguments = ["configs/smoke.py", *changes, f"exp_dir={tmp_path / 'two'}"]
    arguments += ["num_training_steps=1000000", "mcmc_init=persistent", "update_generator=False"]
    workers = _start_workers(arguments, repository, tmp_path)
    folder = _wait_for_state(tmp_path / "two", 2, workers)
    workers[1].send_signal(signal.SIGTERM)
    outputs = _outputs(workers, 60)
    assert [worker.returncode for worker in workers] == [143, 143], outputs
    update = list_states(str(folder / "state"))[-1]
    assert all(f"stopped at update {update}, all saved; to resume" in out for out in outputs)
    assert len(rows(folder)) == update


@pytest.mark.slow
def test_a_signal_ends_workers_that_are_not_at_their_updates(
    repository, tmp_path, changes, monkeypatch
):
    """TensorFlow's own handler only logs it; here both are in an operation that never ends."""
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    arguments = ["configs/smoke.py", "--dry-run", *changes, "mcmc_step_info=[[100000000,0,0,0]]"]
    workers = _start_workers(arguments, repository, tmp_path)
    for worker in workers:
        assert any("parameters" in line for line in worker.stdout)
        time.sleep(1)
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    outputs = _outputs(workers, 20)
    assert [worker.returncode for worker in workers] == [143, 143], outputs
    assert all("ended by SIGTERM" in output for output in outputs)


@pytest.mark.slow
def test_two_workers_attack_as_one_process_does(repository, tmp_path, data_dir):
    load_data({"data_type": "emoji32", "data_dir": data_dir, "image_dims": [32, 32, 3]})
    changes = ["configs_attack/smoke.py", "--set", f"data_dir={data_dir}", "batch_size=6"]
    many = [*changes, f"exp_dir={tmp_path / 'two'}"]
    workers = _start_workers(many, repository, tmp_path, "attack.py")
    for output, worker in zip(_outputs(workers, 300), workers, strict=True):
        assert worker.returncode == 0, output
    one = [sys.executable, str(repository / "attack.py"), *changes, f"exp_dir={tmp_path / 'one'}"]
    subprocess.run(one, cwd=tmp_path, check=True, capture_output=True)
    found = []
    for root in ("one", "two"):
        (folder,) = (tmp_path / root).iterdir()
        assert (folder / "data_log" / "examples.png").exists()
        with np.load(folder / "data_log" / "results.npz") as results:
            found.append({name: results[name] for name in results.files if name != "seconds"})
    assert_same(*found)
