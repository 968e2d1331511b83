import numpy as np
import pytest
import tensorflow as tf

from tests.runs import cpus
from tests.toys import linear, toy
from utils.attack.defense import Defense
from utils.attack.losses import margin
from utils.attack.views import Round, antithetic_logits, estimated, probes


@pytest.mark.parametrize(("norm", "length"), [("l2", 6 * 2 / 255), ("linf", 6 * 2 / 255 * 48**0.5)])
def test_estimates_are_of_the_gradient_of_a_linear_classifier(rng, norm, length):
    """In the space of its random directions the estimate is exact: every rise is <g, move>."""
    _, defense, batch, weights = linear(rng, adv_norm=norm, adv_eta=6.0)
    batch = batch.of(np.arange(6))
    seen = estimated(defense, batch, Round(7, 0, 40, "bpda"))
    held = np.arange(6) % 3 > 0
    values, gradient = seen.ascend(held, lambda logits, rows: margin(logits, batch.labels[rows]))
    around = antithetic_logits(defense, batch, probes(defense, batch, 7, 20), 7).mean(axis=(1, 2))
    expected, slopes = margin(around[held], batch.labels[held])
    np.testing.assert_array_equal(values, expected)
    moves = probes(defense, batch, 7, 20)
    np.testing.assert_allclose(np.linalg.norm(moves.reshape(6, 20, -1), axis=2), length, rtol=1e-5)
    true = (slopes @ weights.T).reshape(-1, 4, 4, 3)
    by_hand = np.einsum(
        "np,nphwc->nhwc", np.einsum("nphwc,nhwc->np", moves[held], true), moves[held]
    )
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-3, atol=1e-4 * np.abs(by_hand).max())


def test_an_image_that_is_wrong_seems_broken_although_its_neighbours_are_right(rng):
    config, _, batch, _ = linear(rng)
    near = tf.constant(batch.images)

    def classify(images):
        apart = tf.reduce_max(tf.abs(images[:, tf.newaxis] - near), axis=(2, 3, 4))
        return tf.one_hot(tf.cast(tf.reduce_min(apart, axis=1) > 1e-6, tf.int32), 2)

    seen = estimated(Defense(config, cpus(), None, classify), batch, Round(0, 0, 8, "bpda"))
    np.testing.assert_array_equal(seen.logits.argmax(axis=1), 0)


def test_pairs_share_their_noise_and_no_two_pairs_do(rng):
    """With zero moves both images of a pair are the same; every pair has noise of its own."""
    _, defense, batch = toy(rng)
    each = antithetic_logits(defense, batch, np.zeros((11, 3, 4, 4, 3), np.float32), 0)
    np.testing.assert_array_equal(each[:, :, 0], each[:, :, 1])
    assert np.abs(each[:, 0] - each[:, 1]).min() > 0
