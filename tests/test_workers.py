"""Two processes on this machine as two workers: the same run as two replicas in one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

import train
from utils.checkpoint import list_states
from utils.data import load_data

SMALL = [
    "num_training_steps=4", "batch_size=4", "ebm_width=4", "gen_width=4", "persistent_size=8",
    "mcmc_step_info=[[2,0,0.5,0]]", "state_freq=2", "log_freq=4",
]  # fmt: skip


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


def _state(folder: Path) -> dict[str, np.ndarray]:
    root = folder / "state"
    newest = root / str(list_states(str(root))[-1])
    arrays = {}
    for path in sorted(newest.glob("*.npz")):
        with np.load(path, allow_pickle=False) as part:
            arrays |= {f"{path.stem}/{name}": part[name] for name in part.files}
    return arrays


def test_two_workers_train_as_two_replicas_of_one_process(repository, tmp_path):
    data = f"data_dir={tmp_path / 'emoji32'}"
    load_data(
        {"data_type": "emoji32", "data_dir": str(tmp_path / "emoji32"), "image_dims": [32] * 2}
    )
    changes = ["configs/smoke.py", "--set", *SMALL, data]
    workers = _start_workers([*changes, f"exp_dir={tmp_path / 'two'}"], repository, tmp_path)
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    train.main([*changes, f"exp_dir={tmp_path / 'one'}", "num_replicas=2"])
    (two,), (one,) = (tmp_path / "two").iterdir(), (tmp_path / "one").iterdir()
    states = _state(one), _state(two)
    assert list(states[0]) == list(states[1])
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name], err_msg=name)
