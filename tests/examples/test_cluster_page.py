"""The Slurm script of examples/cluster.md, with stand-ins for Slurm's two commands."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from utils.before_tensorflow import START_UP

import pytest

from tests.runs import SMALL_TRAINING
from utils.data.streams import load_data
from utils.run.states import list_states

SRUN = """#!/bin/bash
for task in 0 1; do SLURM_PROCID=$task "$@" & tasks+=($!); done
echo "${tasks[@]}" > tasks
for task in "${tasks[@]}"; do
  wait $task; status=$?
  [ $status -gt ${worst:-0} ] && worst=$status
done
exit ${worst:-0}
"""
SCONTROL = """#!/bin/bash
[ "$1" = show ] && echo 127.0.0.1 && echo 127.0.0.1 || echo "$*" >> queue
"""


@pytest.fixture
def sbatch(repository, tmp_path, monkeypatch):
    """Return (arguments of python3) -> the script's process, in `tmp_path`, on two workers here."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)  # with it no line is held back
    own_python = f'#!/bin/bash\nexec {sys.executable} "$@"\n'  # of the virtual environment
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "python3": own_python}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    page = (repository / "examples/cluster.md").read_text(encoding="utf-8")
    script = re.search(r"^```bash\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)[1]
    path = f"{tmp_path}:{os.environ['PATH']}"
    slurm = {"SLURM_JOB_NODELIST": "here", "SLURM_JOB_ID": str(os.getpid()), "PATH": path}

    def start(arguments: str) -> subprocess.Popen:
        own, count = re.subn(r"^cd .*$", "", script, flags=re.MULTILINE)
        own, calls = re.subn(r"(?<=^' )train\.py .*?(?=^status)", f"{arguments}\n", own,
                             flags=re.MULTILINE | re.DOTALL)  # fmt: skip
        assert (count, calls) == (1, 1)
        return subprocess.Popen(
            ["bash", "-c", own], cwd=tmp_path, env={**os.environ, **slurm}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return start


def test_each_task_is_told_all_workers_and_its_own_number(sbatch, tmp_path):
    process = sbatch("""-c 'import os; open(os.environ["SLURM_PROCID"] + ".json", "w").write("""
                     """os.environ["TF_CONFIG"])'""")  # fmt: skip
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    told = [json.loads((tmp_path / f"{task}.json").read_text()) for task in (0, 1)]
    assert [each["task"]["index"] for each in told] == [0, 1]
    assert all(each["task"]["type"] == "worker" for each in told)
    assert told[0]["cluster"] == told[1]["cluster"]
    assert len(set(told[0]["cluster"]["worker"])) == 2


@pytest.mark.slow
def test_a_job_that_is_told_to_stop_stands_in_the_queue_again_and_then_goes_on(
    sbatch, repository, tmp_path, data_dir
):
    load_data({"data_type": "emoji32", "data_dir": data_dir, "image_dims": [32, 32, 3]})
    run = tmp_path / "run"
    small = " ".join(f"'{change}'" for change in [*SMALL_TRAINING, f"data_dir={data_dir}"])
    command = f"{repository}/train.py configs/smoke.py --run-dir {run} --set {small} exp_dir=runs"

    first = sbatch(f"{command} num_training_steps=1000000")
    _wait_for(run / "state/4/state.json", first)
    for task in (tmp_path / "tasks").read_text().split():
        os.kill(int(task), signal.SIGTERM)
    output = first.communicate(timeout=300)[0]
    assert first.returncode == 143, output
    before = output.partition("run folder")[0].splitlines()
    assert not [line for line in before if START_UP.match(line.encode())]
    assert (tmp_path / "queue").read_text() == f"requeue {os.getpid()}\n"

    done = list_states(str(run / "state"))[-1]
    again = sbatch(f"{command} num_training_steps={done + 3}")
    output = again.communicate(timeout=300)[0]
    assert again.returncode == 0, output
    assert f"update {done} of {done + 3}" in output
    assert list_states(str(run / "state"))[-1] == done + 3


def _wait_for(file: Path, process: subprocess.Popen) -> None:
    while not file.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
