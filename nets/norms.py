"""Batch norms: over the batches of all replicas, and by stored statistics (BigGAN-deep)."""

import keras
import numpy as np
import tensorflow as tf

STORED_EPSILON = 1e-4
TRUNCATION_ROWS = 51  # statistics are stored for truncations 0, 0.02, ..., 1


def batch_norm(name: str, *, epsilon: float, momentum: float) -> keras.layers.BatchNormalization:
    """Return a batch norm whose training statistics are those of all replicas together."""
    return keras.layers.BatchNormalization(
        epsilon=epsilon, momentum=momentum, synchronized=True, name=name
    )


class StoredBatchNorm(keras.layers.Layer):
    """Batch norm by stored statistics, a row of them for each of 51 truncations; (b, h, w, c)."""

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
        """Return x normalised by the mix of stored rows that `rows` (51,) says."""
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
    """Return the weights (51,) of the stored rows for a truncation in (0, 1]: interpolation.

    Within 1e-6 of a row it is that row. (The published code swaps the two weights between rows.)
    """
    if not 0 < truncation <= 1:
        raise ValueError(f"truncation {truncation} must be above 0 and at most 1")
    steps = TRUNCATION_ROWS - 1
    row = round(truncation * steps)
    place = row if abs(truncation - row / steps) < 1e-6 else truncation * steps
    return np.maximum(0, 1 - np.abs(place - np.arange(TRUNCATION_ROWS)))
