import numpy as np
import pytest
import tensorflow as tf

from utils.mcmc.noise import make_image_noise, make_noise
from utils.seeds import Purpose, Share, fold, fold_each, folded, folding_draw


def test_noise_is_a_function_of_seed_and_step():
    start = tf.zeros((6, 4, 4, 3), tf.float64)
    noise = make_noise(fold(1, Purpose.CHAIN, 2, 0), start)
    np.testing.assert_array_equal(noise(3), noise(tf.constant(3)))
    key = folded(folding_draw(fold(1, Purpose.CHAIN, 2, 0)), 3)
    drawn = tf.random.stateless_normal(start.shape, key, dtype=start.dtype, alg="philox")
    np.testing.assert_array_equal(noise(3), drawn)
    for other in (
        noise(4),
        make_noise(fold(2, Purpose.CHAIN, 2, 0), start)(3),
        make_noise(fold(1, Purpose.CHAIN, 3, 0), start)(3),
        make_noise(fold(1, Purpose.CHAIN, 2, 1), start)(3),
        make_noise(fold(1, Purpose.BURN_IN, 2, 0), start)(3),
    ):
        assert np.abs(noise(3) - other).min() > 0


@pytest.mark.parametrize("shape", [(8, 4, 4, 3), (6, 1, 1, 1)], ids=["aligned", "odd"])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_noise_of_the_pieces_is_that_of_the_batch_bit_for_bit(shape, dtype):
    noise = make_noise(fold(5, Purpose.CHAIN), tf.zeros(shape, dtype))
    pieces = [noise.piece(number, 2)(7) for number in (0, tf.constant(1))]
    np.testing.assert_array_equal(tf.concat(pieces, 0), noise(7))


@pytest.mark.parametrize("shape", [(16, 4, 4, 3), (12, 1, 1, 1)], ids=["aligned", "odd"])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_noise_of_replicas_and_of_their_pieces_is_that_of_the_batch_bit_for_bit(shape, dtype):
    """The number of a replica may be a tensor."""
    seed, own = fold(5, Purpose.CHAIN), tf.zeros((shape[0] // 2, *shape[1:]), dtype)
    whole = make_noise(seed, tf.zeros(shape, dtype))(7)
    replicas = [make_noise(seed, own, Share(tf.constant(r), 2)) for r in range(2)]
    np.testing.assert_array_equal(tf.concat([noise(7) for noise in replicas], 0), whole)
    pieces = [noise.piece(number, 2)(7) for noise in replicas for number in range(2)]
    np.testing.assert_array_equal(tf.concat(pieces, 0), whole)


def test_noise_belongs_to_the_image_and_the_step():
    images = tf.zeros((3, 8, 8, 3))
    keys = fold_each(0, Purpose.EVALUATION, [5, 900, 7])
    noise = make_image_noise(keys, images)
    first, second = noise(tf.constant(0)).numpy(), noise(tf.constant(1)).numpy()
    key = folded(folding_draw(keys[1]), 0)
    drawn = tf.random.stateless_normal(images.shape[1:], key, alg="philox")
    np.testing.assert_array_equal(first[1], drawn)
    alone = make_image_noise(fold_each(0, Purpose.EVALUATION, [900]), images[:1])
    assert np.array_equal(alone(tf.constant(0))[0], first[1])
    drawn = np.concatenate([first, second]).reshape(6, -1)
    correlations = np.corrcoef(drawn) - np.eye(6)
    assert np.abs(correlations).max() < 5 / np.sqrt(drawn.shape[1])  # 5 standard errors
    assert drawn.std() == pytest.approx(1, abs=5 / np.sqrt(2 * drawn.size))
