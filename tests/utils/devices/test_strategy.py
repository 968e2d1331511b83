import os
import runpy

import pytest
import tensorflow as tf

from utils.devices import strategy
from utils.devices.strategy import make_strategy, side_by_side
from utils.errors import UserError, one_line_errors


def test_parts_of_a_batch_are_equal_and_keep_few_cores_busy(monkeypatch):
    monkeypatch.setattr("utils.devices.strategy.CORES", 2)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    parts = {batch: side_by_side(batch) for batch in range(1, 200)}
    for batch, count in parts.items():
        assert batch % count == 0
        assert count == 1 or count % 2 == 0
        assert (count == 1) == (batch % 2 == 1)
    known = {2: 2, 8: 2, 16: 2, 32: 2, 48: 4, 50: 2, 64: 4, 128: 8}
    assert {batch: parts[batch] for batch in known} == known
    assert side_by_side(None) == 1
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")  # an operation may take both cores
    assert side_by_side(128) == 1


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


@pytest.mark.parametrize(("key", "is_on"), [(None, True), (True, True), (False, False)])
def test_operations_of_free_order_are_refused_on_cpus_unless_the_key_says_otherwise(
    monkeypatch, key, is_on
):
    called = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: called.append(1))
    make_strategy("cpu", deterministic=key)
    assert bool(called) == is_on
    called.clear()
    with pytest.raises(UserError):  # there is no such device here
        make_strategy("gpu", deterministic=key)
    assert bool(called) == (key is True)


def test_an_operation_without_a_deterministic_kernel_is_one_line_that_names_the_key(capsys):
    """The words are TensorFlow's, of an operation on GPUs; no CPU operation tried lacks one."""
    told = "A deterministic GPU implementation of SomeOp is not currently available."

    @one_line_errors
    def main(argv):
        raise tf.errors.UnimplementedError(None, None, f"Graph execution error:\n\n{told}\n\t")

    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    expected = f"error: {told[:-1]}: add --set deterministic=False to run it all the same\n"
    assert capsys.readouterr().err == expected
