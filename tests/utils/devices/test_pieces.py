import numpy as np
import pytest
import tensorflow as tf

from utils.devices.pieces import by_pieces, choose_pieces, in_pieces


def test_pieces_divide_a_batch_keep_the_cores_busy_and_are_not_tiny():
    for batch in range(1, 200):
        assert choose_pieces(batch, 1) == 1
        for cores in (2, 3, 8, 64):
            pieces = choose_pieces(batch, cores)
            assert batch % pieces == 0
            assert pieces == 1 or batch // pieces >= 4
    of_two_cores = {4: 1, 8: 2, 16: 2, 25: 5, 50: 2, 32: 2, 48: 4, 64: 4, 100: 10, 128: 8}
    assert {batch: choose_pieces(batch, 2) for batch in of_two_cores} == of_two_cores
    of_32_images = {1: 1, 2: 2, 3: 8, 4: 4, 8: 8, 64: 8}
    assert {cores: choose_pieces(32, cores) for cores in of_32_images} == of_32_images


@pytest.mark.parametrize("pieces", [1, 2, 6])
def test_pieces_are_the_rows_in_order_and_traced_once(pieces):
    traces = []
    rows = np.arange(24, dtype=np.float32).reshape(12, 2)

    def double(number, x, y):
        traces.append(number)
        return {"doubles": 2 * x[0], "numbers": tf.fill([12 // pieces], number)}, y

    whole, same = tf.function(lambda *own: by_pieces(double, pieces, *own))([rows], rows)
    np.testing.assert_array_equal(whole["doubles"], 2 * rows)
    np.testing.assert_array_equal(whole["numbers"], np.repeat(np.arange(pieces), 12 // pieces))
    np.testing.assert_array_equal(same, rows)
    assert len(traces) == 1


def test_a_piece_reads_variables_and_gives_its_gradients():
    """The sum over pieces of gradients is that of the whole batch."""
    weight, rows = tf.Variable([1.0, -2.0]), tf.reshape(tf.range(16.0), (8, 2))

    def gradient(_, rows):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(rows) * weight**3)
        return tape.gradient(loss, weight)

    whole, *_ = in_pieces(gradient, 1, rows)
    pieces = tf.function(lambda: tf.add_n(in_pieces(gradient, 4, rows)))()
    np.testing.assert_allclose(pieces, whole, rtol=1e-6)
