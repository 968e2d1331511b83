"""The base of annealing: a Gaussian fitted to data, with exact draws and a known normaliser."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from utils.data.sets import Dataset
from utils.data.streams import first_images
from utils.scores.frechet import Moments

MOST, READ = 100_000, 500  # images of the fit at most, and images per batch


class Gaussian(NamedTuple):
    """A normal density of D = h w c values: `mean` (D,), `precision` C^-1 and `root` C^(1/2).

    The two matrices are (D, D) and symmetric or, for independent pixels, their diagonals (D,).
    `log_normaliser` is log det(2 pi C) / 2.
    """

    shape: tuple[int, ...]
    mean: tf.Tensor
    precision: tf.Tensor
    root: tf.Tensor
    log_normaliser: float

    def potential(self, images: tf.Tensor) -> tf.Tensor:
        """Return -log p of images (b, h, w, c): (b,) float64, so that exp(-U) integrates to 1."""

        @tf.custom_gradient
        def potential(rows: tf.Tensor) -> Any:  # value and gradient share one product
            slope = _times(rows, self.precision)
            squares = tf.reduce_sum(tf.cast(rows * slope, tf.float64), axis=1)
            return (
                squares / 2 + self.log_normaliser,
                lambda above: slope * tf.cast(above[:, tf.newaxis], slope.dtype),
            )

        return potential(tf.reshape(images, [-1, self.mean.shape[0]]) - self.mean)

    def images(self, white: tf.Tensor) -> tf.Tensor:
        """Transform standard normal values (b, h, w, c) to draws (b, h, w, c)."""
        rows = _times(tf.reshape(white, [-1, self.mean.shape[0]]), self.root)
        return tf.reshape(self.mean + rows, [-1, *self.shape])


class Spread(NamedTuple):
    """Mean (D,) and variances of data: of each value, `of_pixels` (D,), and of directions.

    `directions` (D, r) are orthonormal, with `variances` (r,); in all others the variance is 0.
    Both are None if they were not requested.
    """

    mean: np.ndarray
    of_pixels: np.ndarray
    variances: np.ndarray | None = None
    directions: np.ndarray | None = None


def fit_gaussian(
    spread: Spread, shape: Sequence[int], *, noise: float, full: bool, dtype: tf.DType = tf.float32
) -> Gaussian:
    """Return the normal density of data plus Gaussian noise of standard deviation `noise`.

    It has a full covariance, or without `full` independent pixels. The noise bounds every variance
    from below, also where data never vary, as at the borders of images.
    """
    size, square = len(spread.mean), noise**2
    if full:
        assert spread.variances is not None  # `spread_of` was called with `full`
        assert spread.directions is not None
        own, directions = spread.variances + square, spread.directions
        precision, root = (
            (directions * (own**power - square**power)) @ directions.T
            + square**power * np.eye(size)
            for power in (-1, 0.5)
        )
        log_det = np.log(own).sum() + (size - len(own)) * np.log(square)
    else:
        own = spread.of_pixels + square
        precision, root, log_det = 1 / own, np.sqrt(own), np.log(own).sum()
    mean, *others = (tf.constant(x, dtype) for x in (spread.mean, precision, root))
    log_normaliser = float(log_det + size * np.log(2 * np.pi)) / 2
    return Gaussian(tuple(shape), mean, *others, log_normaliser=log_normaliser)


def spread_of(dataset: Dataset, dims: int, *, full: bool) -> Spread:
    """Return the mean and variances of a split's images of `dims` values; float64.

    `full` adds the variances of all directions. Taken are the first images of the shuffled order,
    at most `MOST`.
    """
    batches = (
        images.reshape(len(images), dims).astype(np.float64)
        for images in first_images(dataset, READ, MOST)
    )
    if not full:
        count, total, square = 0, np.zeros(dims), np.zeros(dims)
        for rows in batches:
            count += len(rows)
            total, square = total + rows.sum(axis=0), square + (rows**2).sum(axis=0)
        mean = total / count
        return Spread(mean, np.maximum(square / count - mean**2, 0))
    if min(dataset.num_examples, MOST) <= dims:
        return spread_of_few(np.concatenate([*batches]))
    moments = Moments(dims)
    for rows in batches:
        moments.add(rows)
    found = moments.statistics()
    variances, directions = np.linalg.eigh(found.covariance)
    return Spread(found.mean, found.covariance.diagonal(), np.maximum(variances, 0), directions)


def spread_of_few(rows: np.ndarray) -> Spread:
    """Return the mean and variances of rows (n, D) with n < D, from their n x n inner products."""
    mean = rows.mean(axis=0)
    centred = (rows - mean) / np.sqrt(max(1, len(rows) - 1))
    variances, weights = np.linalg.eigh(centred @ centred.T)
    kept = variances > 1e-12 * variances.max()
    directions = centred.T @ (weights[:, kept] / np.sqrt(variances[kept]))
    return Spread(mean, (centred**2).sum(axis=0), variances[kept], directions)


def _times(rows: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return rows * factor if len(factor.shape) == 1 else rows @ factor
