"""The Gaussian that annealing begins at: fitted to data, drawn exactly, normalised by a formula."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from utils.data.sets import Dataset
from utils.data.streams import ORDER_SEED, evaluation_batches
from utils.scores.frechet import Moments

MOST, READ = 100_000, 500  # images that the fit takes, and takes at once
FAINT = 0.01  # of the noise's variance: directions of less are left to the noise


class Gaussian(NamedTuple):
    """A normal density of D = h w c values: `mean` (D,) and a covariance by its directions.

    Along the r orthonormal `directions` (D, r) it has the deviations `along` (r,), across them
    `across`, () or, where there are none and pixels are independent, (D,). `log_normaliser` is half
    the log of det(2 pi C).
    """

    shape: tuple[int, ...]
    mean: tf.Tensor
    directions: tf.Tensor
    along: tf.Tensor
    across: tf.Tensor
    log_normaliser: float

    def potential(self, images: tf.Tensor) -> tf.Tensor:
        """Return -log p of images (b, h, w, c): (b,) float64, so that exp(-U) integrates to 1."""
        inner, outer = self._parts(tf.reshape(images, [-1, self.mean.shape[0]]) - self.mean)
        squares = _squares(inner / self.along) + _squares(outer / self.across)
        return squares / 2 + self.log_normaliser

    def images(self, white: tf.Tensor) -> tf.Tensor:
        """Return the images (b, h, w, c) that standard normal ones of that shape become."""
        inner, outer = self._parts(tf.reshape(white, [-1, self.mean.shape[0]]))
        back = tf.matmul(inner * self.along, self.directions, transpose_b=True)
        return tf.reshape(self.mean + outer * self.across + back, [-1, *self.shape])

    def _parts(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the part of rows (b, D) along the directions, (b, r), and what is across them."""
        inner = rows @ self.directions
        return inner, rows - tf.matmul(inner, self.directions, transpose_b=True)


class Spread(NamedTuple):
    """How data lie in (D,) values: mean, variance of each, and the variances along directions.

    Orthonormal `directions` (D, r) and their variances (r,) are None where nobody asked for them.
    """

    mean: np.ndarray
    of_pixels: np.ndarray
    variances: np.ndarray | None = None
    directions: np.ndarray | None = None


def fit_gaussian(
    spread: Spread, shape: Sequence[int], *, noise: float, full: bool, dtype: tf.DType = tf.float32
) -> Gaussian:
    """Return the normal density of data with Gaussian noise of standard deviation `noise` on them.

    Its covariance is `full`, or pixels are independent. The noise keeps every variance at its
    square or above: the borders of images never vary.
    """
    if full:
        assert spread.variances is not None  # whoever wants them has asked for them
        assert spread.directions is not None
        kept = spread.variances > FAINT * noise**2
        directions, across = spread.directions[:, kept], np.float64(noise)
        along = np.sqrt(spread.variances[kept] + noise**2)
    else:
        directions, along = np.zeros((len(spread.mean), 0)), np.zeros(0)
        across = np.sqrt(spread.of_pixels + noise**2)
    rest = len(spread.mean) - len(along)  # values that `across` is the deviation of
    log_det = np.log(along).sum() + rest * np.log(across).mean()
    log_normaliser = log_det + len(spread.mean) * np.log(2 * np.pi) / 2
    mean, *others = (tf.constant(x, dtype) for x in (spread.mean, directions, along, across))
    return Gaussian(tuple(shape), mean, *others, log_normaliser=float(log_normaliser))


def spread_of(dataset: Dataset, dims: int, *, full: bool) -> Spread:
    """Return how the images of a split, of `dims` values, lie; `full`: along all directions.

    Of at most `MOST` images, the first in its shuffled order; float64.
    """
    count = min(dataset.num_examples, MOST)
    batches = (
        images.reshape(len(images), dims).astype(np.float64)
        for images, _, _ in evaluation_batches(dataset, READ, seed=ORDER_SEED, count=count)
    )
    if not full:
        total = square = np.zeros(dims)
        for rows in batches:
            total, square = total + rows.sum(axis=0), square + (rows**2).sum(axis=0)
        mean = total / count
        return Spread(mean, np.maximum(square / count - mean**2, 0))
    if count <= dims:
        return spread_of_few(np.concatenate([*batches]))
    moments = Moments(dims)
    for rows in batches:
        moments.add(rows)
    found = moments.statistics()
    variances, directions = np.linalg.eigh(found.covariance)
    return Spread(found.mean, found.covariance.diagonal(), variances, directions)


def spread_of_few(rows: np.ndarray) -> Spread:
    """Return how fewer rows than values, (n, D), lie: by their inner products, of n squared."""
    mean = rows.mean(axis=0)
    centred = (rows - mean) / np.sqrt(max(1, len(rows) - 1))
    variances, weights = np.linalg.eigh(centred @ centred.T)
    kept = variances > 1e-12 * variances.max()
    directions = centred.T @ (weights[:, kept] / np.sqrt(variances[kept]))
    return Spread(mean, (centred**2).sum(axis=0), variances[kept], directions)


def _squares(rows: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(tf.cast(rows, tf.float64)), axis=1)
