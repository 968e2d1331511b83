"""utils/environment.py, in processes of its own: what is set before TensorFlow is imported."""

from utils.environment import CORES, FEW_CORES

import os
import subprocess
import sys

import pytest

NAMES = ("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS")
TELL = f"import os, utils.environment; print(*(os.environ.get(name) for name in {NAMES}))"


def _told(repository, **chosen: str) -> list[str]:
    unset = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-c", TELL]
    return subprocess.check_output(
        command, cwd=repository, env={**unset, **chosen}, text=True
    ).split()


def test_onednn_is_on_and_few_cores_take_one_thread_an_operation(repository):
    assert _told(repository) == ["1", "1" if CORES <= FEW_CORES else "None"]


@pytest.mark.parametrize("value", ["0", "2"])
def test_what_the_user_has_set_stays(repository, value):
    assert _told(repository, **dict.fromkeys(NAMES, value)) == [value, value]
