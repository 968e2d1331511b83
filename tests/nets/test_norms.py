"""Batch norms: rows of stored statistics, and statistics over all replicas."""

import json
import subprocess
import sys

import numpy as np
import pytest

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
