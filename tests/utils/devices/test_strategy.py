import os
import runpy
import subprocess
import sys

import pytest
import tensorflow as tf

from utils.devices import strategy
from utils.devices.strategy import make_strategy, set_by_user
from utils.errors import UserError, one_line_errors

THREADS = """
import tensorflow as tf
from utils.devices.strategy import CORES
from utils.replicas import Replicas
Replicas({"device_type": "cpu", "num_replicas": 1, "jit": False,
    "batch_size": 8, "threads": None, "pieces": None})
threads = tf.config.threading
print(threads.get_intra_op_parallelism_threads())
print(threads.get_inter_op_parallelism_threads() - CORES)
"""


@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        ({}, "1 0"),  # one thread an operation, as many operations as cores
        (
            {"TF_NUM_INTRAOP_THREADS": "3", "TF_ENABLE_ONEDNN_OPTS": "1"},
            "set in the environment, and used: TF_NUM_INTRAOP_THREADS=3 0 0",
        ),
    ],
)
def test_a_processors_threads_are_set_unless_the_user_did(repository, variables, printed):
    known = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", THREADS], cwd=repository, env={**known, **variables}, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.stdout.split() == printed.split()


def test_variables_of_the_environment_are_named_where_they_change_anything(monkeypatch):
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.delenv(name, raising=False)
    assert not set_by_user()
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")  # as we do
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "2")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert set_by_user(threads=2) == ["TF_ENABLE_ONEDNN_OPTS=0"]
    assert "TF_NUM_INTEROP_THREADS=2" in set_by_user(threads=1)


def test_more_threads_than_cores_are_one_line(monkeypatch):
    monkeypatch.setattr(strategy, "CORES", 2)
    make_strategy("cpu", threads=2)
    with pytest.raises(UserError, match="'threads' 3: 2 cores are allowed"):
        make_strategy("cpu", threads=3)


@pytest.mark.parametrize("device", ["gpu", pytest.param("tpu", marks=pytest.mark.slow)])
def test_a_missing_device_is_one_line(device):
    with pytest.raises(UserError, match="--set device_type=cpu"):
        make_strategy(device)


CHIEF = '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}'
PORTLESS = '{"cluster": {"worker": ["localhost"]}, "task": {"type": "worker", "index": 0}}'
TYPELESS = '{"cluster": {"worker": ["localhost:2222"]}, "task": {"index": 0}}'
OTHER_TYPE = '{"cluster": {"worker": ["localhost:2222"]}, "task": {"type": "chief", "index": 0}}'
NO_CLUSTERS = ("{", "[]", '{"cluster": {"worker": []}}', '{"cluster": 3}')


@pytest.mark.parametrize("text", [*NO_CLUSTERS, CHIEF, PORTLESS, TYPELESS, OTHER_TYPE])
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
    expected = f"error: {told[:-1]}: add --set deterministic=False to run it anyway\n"
    assert capsys.readouterr().err == expected


def test_what_xla_cannot_compile_is_one_line_that_names_the_key(capsys):
    @one_line_errors
    def main(argv):
        compiled = tf.function(tf.strings.as_string, jit_compile=True)
        compiled(tf.ones(3))

    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: XLA cannot compile the work of the device: ")
    assert "AsString" in line
    assert line.endswith("add --set jit=False to run without")
