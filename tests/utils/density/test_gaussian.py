"""Laws of the Gaussian base of annealing."""

import numpy as np
import pytest
import tensorflow as tf

from utils.data.streams import evaluation_batches, load_data
from utils.density.gaussian import Spread, fit_gaussian, spread_of, spread_of_few

SHAPE, COVARIANCE = (1, 3, 1), np.array([[0.5, 0.3, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.0]])


def fitted(covariance, *, noise, full=True):
    variances, directions = np.linalg.eigh(covariance)
    spread = Spread(np.array([0.2, -0.1, 1.0]), covariance.diagonal(), variances, directions)
    return fit_gaussian(spread, SHAPE, noise=noise, full=full, dtype=tf.float64)


@pytest.mark.parametrize("full", [True, False])
def test_its_density_is_the_formula(rng, full):
    """Where data never vary, the variance is that of the noise."""
    gaussian = fitted(COVARIANCE, noise=0.1, full=full)
    covariance = (COVARIANCE if full else np.diag(COVARIANCE.diagonal())) + 0.01 * np.eye(3)
    images = rng.standard_normal((5, *SHAPE))
    rows = images.reshape(5, 3) - [0.2, -0.1, 1.0]
    squares = np.einsum("ni,ij,nj->n", rows, np.linalg.inv(covariance), rows)
    expected = (squares + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2
    np.testing.assert_allclose(gaussian.potential(tf.constant(images)), expected, rtol=1e-10)


@pytest.mark.parametrize("full", [True, False])
def test_its_draws_have_the_covariance_of_noisy_data(rng, full):
    gaussian = fitted(COVARIANCE, noise=0.5, full=full)
    rows = gaussian.images(tf.constant(rng.standard_normal((20_000, *SHAPE)))).numpy()
    rows, covariance = rows.reshape(-1, 3), COVARIANCE if full else np.diag(COVARIANCE.diagonal())
    np.testing.assert_allclose(rows.mean(axis=0), [0.2, -0.1, 1.0], atol=0.03)
    np.testing.assert_allclose(np.cov(rows.T), covariance + 0.25 * np.eye(3), atol=0.03)


def test_few_rows_spread_as_their_covariance_says(rng):
    rows = rng.standard_normal((6, 10))
    found = spread_of_few(rows)
    covariance = np.cov(rows.T)
    rebuilt = (found.directions * found.variances) @ found.directions.T
    np.testing.assert_allclose(rebuilt, covariance, atol=1e-12)
    np.testing.assert_allclose(found.directions.T @ found.directions, np.eye(5), atol=1e-9)
    np.testing.assert_allclose(found.of_pixels, covariance.diagonal())


@pytest.mark.parametrize("size", [4, 32])
def test_the_spread_is_that_of_a_split(emoji_config, size):
    """For more images than values, and for fewer."""
    config = {**emoji_config, "data_labels": ["Flags"], "image_dims": [size, size, 3]}
    dataset = load_data(config, "test")
    rows = dataset.images.reshape(len(dataset.images), -1) / 127.5 - 1
    assert (len(rows) > rows.shape[1]) == (size == 4)
    full = spread_of(dataset, rows.shape[1], full=True)
    plain = spread_of(dataset, rows.shape[1], full=False)
    for found in (full, plain):
        np.testing.assert_allclose(found.mean, rows.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(found.of_pixels, rows.var(axis=0), rtol=0.03, atol=1e-6)
    rebuilt = (full.directions * full.variances) @ full.directions.T
    np.testing.assert_allclose(rebuilt[:5, :5], np.cov(rows[:, :5].T), atol=1e-5)


@pytest.mark.parametrize("config", ["streamed"], indirect=True)
def test_damaged_pictures_of_a_stream_have_no_part_in_the_spread(config, image_folder):
    """How many there are is not known before they are read."""
    (image_folder / "train" / "cat" / "4.png").write_bytes(b"damaged")
    rows = np.concatenate([images for images, _, _ in evaluation_batches(load_data(config), 5)])
    rows = rows.reshape(11, -1)
    for full in (True, False):
        found = spread_of(load_data(config), rows.shape[1], full=full)
        np.testing.assert_allclose(found.mean, rows.mean(axis=0), atol=1e-6)
        variances = rows.var(axis=0, ddof=int(full))
        np.testing.assert_allclose(found.of_pixels, variances, rtol=1e-5, atol=1e-6)
