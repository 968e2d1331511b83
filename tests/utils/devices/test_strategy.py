import os
import runpy

import pytest

from utils.devices import strategy
from utils.devices.strategy import make_strategy
from utils.errors import UserError


@pytest.mark.parametrize("device", ["gpu", "tpu"])
def test_a_missing_device_is_one_line(device):
    with pytest.raises(UserError, match="--set device_type=cpu"):
        make_strategy(device)


CHIEF = '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}'


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"cluster": {"worker": []}}', '{"cluster": 3}', CHIEF]
)
def test_a_broken_cluster_is_one_line(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="num_replicas 2 is for one machine"):
        make_strategy("cpu", 2)
    with pytest.raises(UserError, match="TF_CONFIG must be JSON like"):
        make_strategy("cpu")


def test_only_cores_that_the_process_may_use_are_counted(monkeypatch):
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})  # of this thread
    try:
        assert runpy.run_path(strategy.__file__)["CORES"] == 1
    finally:
        os.sched_setaffinity(0, allowed)
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert runpy.run_path(strategy.__file__)["CORES"] == os.cpu_count()
