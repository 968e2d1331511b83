"""Batch norms: with statistics over all replicas, and with stored ones (BigGAN-deep)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nets.layers import at_least_float32, static_shape

STORED_EPSILON = 1e-4
TRUNCATION_ROWS = 51  # statistics are stored for truncations 0, 0.02, ..., 1


def each(function: Callable[..., Any], *values: Any) -> Any:
    """Return `function` of the values, or a list of its results where these are lists of pieces."""
    return tf.nest.map_structure(function, *values)


class BatchNorm(keras.layers.Layer):
    """Batch norm; in training its statistics are those of all pieces on all replicas.

    Takes and returns (b, h, w, c), or a list of its pieces. In training the moving averages take
    `moves` steps towards the statistics of the batch.
    """

    def __init__(self, name: str, *, epsilon: float, momentum: float):
        super().__init__(name=name)
        self.epsilon, self.momentum = epsilon, momentum

    def build(self, shape):
        for name, initializer in (("gamma", "ones"), ("beta", "zeros")):
            self.add_statistic(name, shape[-1:], initializer, trainable=True)
        for name, initializer in (("moving_mean", "zeros"), ("moving_variance", "ones")):
            self.add_statistic(name, shape[-1:], initializer, trainable=False)

    def add_statistic(self, name: str, shape, initializer: str, *, trainable: bool) -> None:
        """Make a variable that keeps its type in networks of mixed precision."""
        variable = self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=trainable, autocast=False
        )
        setattr(self, name, variable)

    def call(self, x, training=False, moves=1):
        x = each(at_least_float32, x)
        averages = (self.moving_mean, self.moving_variance)
        statistics = tuple(tf.convert_to_tensor(average) for average in averages)
        if training:
            of_batch = batch_moments(tf.nest.flatten(x))
            for average, value, target in zip(averages, statistics, of_batch, strict=True):
                for _ in range(moves):
                    value = value * self.momentum + target * (1.0 - self.momentum)
                average.assign(value)
            statistics = of_batch
        mean, variance = statistics
        offset, scale = tf.convert_to_tensor(self.beta), tf.convert_to_tensor(self.gamma)

        def normalised(x: tf.Tensor) -> tf.Tensor:
            y = tf.nn.batch_normalization(x, mean, variance, offset, scale, self.epsilon)
            return tf.cast(y, self.compute_dtype)

        return each(normalised, x)


def batch_moments(pieces: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Return means and variances (c,) over all pieces (b, h, w, c) on all replicas."""
    here = tf.distribute.get_replica_context()
    count = sum(math.prod(static_shape(x)[:-1]) for x in pieces) * here.num_replicas_in_sync

    def mean(values: Sequence[tf.Tensor]) -> tf.Tensor:
        total = tf.add_n([tf.reduce_sum(x, [0, 1, 2]) for x in values])
        return here.all_reduce(tf.distribute.ReduceOp.SUM, total) / count

    means, of_squares = mean(pieces), mean([tf.square(x) for x in pieces])
    return means, tf.maximum(of_squares - tf.square(means), 0.0)


class StoredBatchNorm(keras.layers.Layer):
    """Batch norm of (b, h, w, c) with stored statistics, one row for each of 51 truncations."""

    def __init__(self, name: str):
        super().__init__(name=name, dtype=keras.config.dtype_policy().variable_dtype)

    def build(self, shape):
        self.add_statistics(shape[-1])
        self.scale = self.add_weight(name="w", shape=shape[-1:], initializer="ones")
        self.offset = self.add_weight(name="b", shape=shape[-1:], initializer="zeros")

    def add_statistics(self, channels: int) -> None:
        """Make the variables of the stored means and variances."""
        shape = (TRUNCATION_ROWS, channels)
        self.mean = self.add_weight(name="mean", shape=shape, initializer="zeros", trainable=False)
        self.var = self.add_weight(name="var", shape=shape, initializer="ones", trainable=False)

    def call(self, x, rows):
        return self.normalise(x, rows) * self.scale + self.offset

    def normalise(self, x, rows):
        """Return x normalised by the stored rows, averaged with the weights `rows` (51,)."""
        mean = tf.linalg.matvec(self.mean, rows, transpose_a=True)
        var = tf.linalg.matvec(self.var, rows, transpose_a=True)
        return (x - mean) * tf.math.rsqrt(var + STORED_EPSILON)


class ConditionalBatchNorm(StoredBatchNorm):
    """Stored batch norm whose scale and offset are linear in a condition (b, n)."""

    def build(self, shape):
        self.add_statistics(shape[-1])
        self.scale, self.offset = (
            keras.layers.Dense(shape[-1], use_bias=False, name=name, dtype=self.dtype_policy)
            for name in ("scale", "offset")
        )

    def call(self, x, condition, rows):
        scale, offset = (dense(condition)[:, None, None] for dense in (self.scale, self.offset))
        return self.normalise(x, rows) * (1 + scale) + offset


def truncation_weights(truncation: float) -> np.ndarray:
    """Return the weights (51,) that interpolate the stored rows at a truncation in (0, 1].

    Within 1e-6 of a row that row is used. (The published code swaps the two weights between rows.)
    Raises ValueError for a truncation outside (0, 1].
    """
    if not 0 < truncation <= 1:
        raise ValueError(f"truncation {truncation} must be above 0 and at most 1")
    steps = TRUNCATION_ROWS - 1
    row = round(truncation * steps)
    position = row if abs(truncation - row / steps) < 1e-6 else truncation * steps
    return np.maximum(0, 1 - np.abs(position - np.arange(TRUNCATION_ROWS)))
