"""Batch norms: rows of stored statistics, and statistics over all replicas."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nets import create_clf, create_gen
from nets.norms import truncation_weights


@pytest.mark.parametrize("row", range(1, 51))
def test_a_truncation_at_a_row_takes_that_row(row):
    for truncation in (row / 50, row * 0.02, np.float32(row / 50).item()):
        assert np.array_equal(truncation_weights(truncation), np.arange(51) == row)


def test_a_truncation_between_rows_takes_more_of_the_nearer():
    weights = truncation_weights(0.325)  # a quarter of the way from row 16 to row 17
    assert weights[16] == pytest.approx(0.75)
    assert weights[17] == pytest.approx(0.25)
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("truncation", [0, -0.5, 1.01])
def test_a_truncation_outside_0_to_1_is_refused(truncation):
    with pytest.raises(ValueError, match="truncation"):
        truncation_weights(truncation)


NETWORKS = {
    "generator": (create_gen, {"gen_type": "gen_sngan", "gen_width": 4}, [128]),
    "classifier": (create_clf, {"num_classes": 3, "clf_depth": 10, "clf_width": 1}, [32, 32, 3]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_pieces_are_normalised_over_their_joint_batch(name):
    """In float64: images or logits, and moving averages, are those of the batch as a whole."""
    create, config, shape = NETWORKS[name]
    config = {**config, "image_dims": [32, 32, 3], "precision": "float64"}
    inputs = tf.random.stateless_normal([4, *shape], [0, 1], dtype=tf.float64)
    results = []
    for pieces in (1, 2, 4):
        network = create(config)
        outputs = network(tf.split(inputs, pieces), training=True)
        results.append([tf.concat(outputs, 0), *network.non_trainable_variables])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_moving_averages_make_as_many_moves_as_asked_towards_one_batch():
    latents = tf.random.stateless_normal([4, 128], [0, 1])
    once, twice = (create_gen({**NETWORKS["generator"][1], "image_dims": [32, 32, 3]})
                   for _ in range(2))  # fmt: skip
    for _ in range(2):
        once(latents, training=True)
    twice(latents, training=True, moves=2)
    for one, two in zip(once.variables, twice.variables, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", ["gen_sngan", pytest.param("gen_biggan", marks=pytest.mark.slow)])
def test_two_replicas_normalise_over_their_joint_batch(kind, repository):
    """One training call on 2 x 4 latents gives the images and the statistics of one on 8.

    In a process of its own: TensorFlow remembers the shapes of reductions by their number, across
    the strategies of a process.
    """
    python = [sys.executable, "-m", "tests.nets.two_replicas", kind]
    run = subprocess.run(python, cwd=repository, capture_output=True, text=True, check=True)
    errors = json.loads(run.stdout)
    assert errors["images"] < 1e-3  # rounding, enlarged by up to 20 batch norms over few values
    assert errors["statistics"] < 1e-5
    assert errors["moved"] > 1e-4
