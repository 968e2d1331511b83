"""Two processes on this machine as two workers: the same run as two replicas in one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import train
from tests.runs import SMALL_TRAINING, assert_same, state
from utils.data import load_data


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _start_workers(arguments: list[str], repository: Path, folder: Path) -> list[subprocess.Popen]:
    hosts = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        workers.append(
            subprocess.Popen(
                [sys.executable, str(repository / "train.py"), *arguments],
                cwd=folder,
                env={**os.environ, "TF_CONFIG": json.dumps(task)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return workers


def test_two_workers_train_as_two_replicas_of_one_process(repository, tmp_path, data_dir):
    load_data({"data_type": "emoji32", "data_dir": data_dir, "image_dims": [32, 32]})
    changes = ["configs/smoke.py", "--set", *SMALL_TRAINING, f"data_dir={data_dir}"]
    workers = _start_workers([*changes, f"exp_dir={tmp_path / 'two'}"], repository, tmp_path)
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    train.main([*changes, f"exp_dir={tmp_path / 'one'}", "num_replicas=2"])
    (two,), (one,) = (tmp_path / "two").iterdir(), (tmp_path / "one").iterdir()
    assert_same(state(one), state(two))
