import os
import runpy

import numpy as np
import pytest
import tensorflow as tf

from utils import devices
from utils.devices import (
    agree,
    barrier,
    is_chief,
    local_replicas,
    make_strategy,
    over_replicas,
    replica_batch,
    rows_at_once,
    side_by_side,
    to_host,
    to_replicas,
)
from utils.errors import UserError


@pytest.mark.parametrize("replicas", [1, 2])
def test_values_go_to_their_replicas_and_come_back(replicas):
    strategy = make_strategy("cpu", replicas)
    assert strategy.num_replicas_in_sync == replicas
    assert local_replicas(strategy) == list(range(replicas))
    sent = [(np.full(3, r, np.float32), np.array([True, r == 1])) for r in range(replicas)]

    @tf.function
    def add_own_number(values):
        def on_replica(x, flags):
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return x + 10 * tf.cast(replica, tf.float32), flags

        return strategy.run(on_replica, values)

    back = to_host(strategy, add_own_number(to_replicas(strategy, sent)))
    assert len(back) == replicas
    for r, (x, flags) in enumerate(back):
        np.testing.assert_array_equal(x, np.full(3, 11 * r))
        np.testing.assert_array_equal(flags, sent[r][1])


def test_a_process_alone_is_the_chief_and_agrees_with_itself():
    strategy = make_strategy("cpu", 2)
    assert is_chief(strategy)
    assert agree(strategy, 1_764_000_000) == 1_764_000_000
    barrier(strategy)


def test_a_batch_must_divide():
    strategy = make_strategy("cpu", 2)
    assert replica_batch(32, strategy) == 16
    with pytest.raises(UserError, match="batch_size 33 does not divide over 2"):
        replica_batch(33, strategy)


def test_rows_that_are_left_take_the_smallest_of_few_batches_that_holds_them():
    sizes = {count: rows_at_once(count, 3072, 64) for count in range(1, 10_000)}
    assert set(sizes.values()) == {64, 128, 256, 512, 1024, 2048, 3072}
    for count, size in sizes.items():
        assert size == 3072 if count >= 3072 else count <= size < max(2 * count, 65)
    assert {rows_at_once(count, 64, 64) for count in range(1, 200)} == {64}
    assert rows_at_once(5, 3, 64) == 3


def test_rows_in_batches_of_several_sizes_are_rows_alone(rng):
    shapes = []

    def double(x):
        shapes.append(x.shape[0])
        return 2 * x

    doubled = over_replicas(make_strategy("cpu", 2), double, 12, 2)
    for count in (1, 3, 12, 17, 30):
        x = rng.normal(size=(count, 3)).astype(np.float32)
        np.testing.assert_array_equal(doubled(x), 2 * x)
    assert set(shapes) == {1, 2, 4, 6}


def test_parts_of_a_batch_are_equal_and_keep_few_cores_busy(monkeypatch):
    monkeypatch.setattr("utils.devices.CORES", 2)
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
        assert runpy.run_path(devices.__file__)["CORES"] == 1
    finally:
        os.sched_setaffinity(0, allowed)
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert runpy.run_path(devices.__file__)["CORES"] == os.cpu_count()
