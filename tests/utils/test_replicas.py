import numpy as np
import pytest
import tensorflow as tf

from tests.runs import cpus
from utils.errors import UserError
from utils.replicas import Replicas, rows_at_once
from utils.seeds import Purpose, fold

TWO_CPUS = {"device_type": "cpu", "num_replicas": 2, "jit": False}


@pytest.mark.parametrize("count", [1, 2])
def test_arrays_go_to_their_replicas_and_come_back(count):
    replicas = cpus(count)
    assert (replicas.count, replicas.local) == (count, list(range(count)))
    images = [np.full(3, r, np.float32) for r in range(count)]
    flags = [np.array([True, r == 1]) for r in range(count)]

    def add(number, images, flags):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return images + tf.cast(number + 10 * replica, tf.float32), flags

    back = replicas.each(add)((5,), images, flags)
    assert len(back) == count
    for r, (x, own) in enumerate(back):
        np.testing.assert_array_equal(x, np.full(3, 5 + 11 * r))
        np.testing.assert_array_equal(own, flags[r])


def test_rows_are_spread_over_replicas_and_share_the_rest():
    def scaled(x, y, factor, path, negated):
        return {"x": (-x if negated else x) * tf.cast(factor, x.dtype) + path[1][0]}, y

    spread = cpus(2).spread(scaled)
    x, y = np.float32([1, 2, 3, 4]), np.arange(8).reshape(4, 2)
    path = (np.float32([7]), np.float32([5, 6]))
    for negated in (False, True):
        values, own = spread(x, y, factor=3, path=path, negated=negated)
        np.testing.assert_array_equal(values["x"], (-1) ** negated * x * 3 + 5)
        np.testing.assert_array_equal(own, y)


def test_an_update_gets_the_key_and_rows_of_its_replica_and_gives_the_means_of_metrics():
    seen = []

    def function(key, steps, doubles, x):
        factor = 2.0 if doubles else 1.0  # a truth value chooses the graph
        arrays = key(Purpose.CHAIN)[None], key.share.rows(tf.range, 2), x + 1
        return arrays, {"x": factor * tf.reduce_mean(x) + tf.cast(steps, tf.float32)}

    update = cpus(2).compile(function, 7, then=lambda: seen.append(True))
    inputs = np.float32([1, 3, 5, 7])
    (keys, rows, values), metrics = update((3, 1), (10, True), inputs)
    np.testing.assert_array_equal(keys, [fold(7, Purpose.CHAIN, 3, 1)] * 2)
    np.testing.assert_array_equal(rows, range(4))
    np.testing.assert_array_equal(values, inputs + 1)
    assert float(metrics["x"]) == 2 * 4 + 10
    assert float(update((4, 0), (10, False), inputs)[1]["x"]) == 4 + 10
    assert len(seen) == 2  # traced once for each truth value, not for numbers
    update((5, 0), (11, False), inputs)
    assert len(seen) == 2
    keeps_nothing = cpus(2).compile(lambda key: ((), {}), 7)
    assert keeps_nothing((0, 0), ()) == ((), {})


def test_a_process_alone_is_the_chief_and_agrees_with_itself():
    replicas = cpus(2)
    assert replicas.chief
    assert replicas.agree(1_764_000_000) == 1_764_000_000
    replicas.barrier()


def test_a_batch_must_divide():
    assert cpus(2, batch_size=32).batch == 16
    with pytest.raises(UserError, match="'batch_size' 33 is no multiple of 2 replicas"):
        _ = cpus(2, batch_size=33).batch
    with pytest.raises(UserError, match="'pieces' 3 does not divide a replica's batch of 4 images"):
        _ = Replicas({**TWO_CPUS, "batch_size": 8, "pieces": 3}).batch


def test_rows_are_spread_over_pieces_as_far_as_they_divide(rng):
    shapes = []

    def double(x):
        shapes.append(x.shape[0])
        return 2 * x

    doubled = Replicas({**TWO_CPUS, "batch_size": 8, "pieces": 2}).rows(double, 12, 2)
    for count in (2, 4, 12):
        x = rng.normal(size=(count, 3)).astype(np.float32)
        np.testing.assert_array_equal(doubled(x), 2 * x)
    assert set(shapes) == {1, 3}


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

    doubled = cpus(2).rows(double, 12, 2)
    for count in (1, 3, 12, 17, 30):
        x = rng.normal(size=(count, 3)).astype(np.float32)
        np.testing.assert_array_equal(doubled(x), 2 * x)
    assert set(shapes) == {1, 2, 4, 6}
