"""Wide ResNet classifier (Zagoruyko and Komodakis 2016); published depth 28 and width 10."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from nets.layers import Composite, Conv, space_mean, static_shape
from nets.norms import BatchNorm, each

DEPTH, WIDTH = 28, 10
GROUPS = ((16, 1), (32, 2), (64, 2))  # (channels at width 1, stride of the first block)


class WideResNet(Composite, keras.Model):
    """Logits of images: (b, h, w, 1 or 3) in [-1, 1] -> (b, num_classes).

    Dropout draws from `seed`, a (2,) integer tensor that is required in training. If the images are
    rows of a larger batch, `rows(draw, b)` returns their rows of `draw(n)`, drawn for all n rows of
    that batch. Images, `rows` and logits may be lists of pieces; only the batch norms use all
    pieces together. Raises ValueError for a depth other than 10, 16, 22, ...
    """

    def __init__(
        self,
        num_classes: int,
        depth: int | None = None,
        width: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__(name="wrn")
        self.depth, self.width, self.num_classes = depth or DEPTH, width or WIDTH, num_classes
        if self.depth < 10 or (self.depth - 4) % 6:
            raise ValueError(f"depth {self.depth} of a Wide ResNet must be 10, 16, 22, 28, ...")
        self.dropout = dropout
        self.conv1 = Conv(16, 3, "conv1")
        self.blocks, inputs = [], 16
        for group, (channels, first_stride) in enumerate(GROUPS, start=1):
            for number in range((self.depth - 4) // 6):
                stride = first_stride if number == 0 else 1
                outputs = channels * self.width
                name = f"layer{group}.{number}"
                self.blocks.append(Block(inputs, outputs, stride, dropout, name))
                inputs = outputs
        self.bn = norm("bn1")
        self.linear = keras.layers.Dense(num_classes, name="linear", dtype=self.variable_dtype)

    def call(self, x, seed=None, rows=None, training=False):
        return each(self.linear, self.features(x, seed=seed, rows=rows, training=training))

    def features(self, x, seed=None, rows=None, training=False):
        """Return the input of the last layer: (b, h, w, c) in [-1, 1] -> (b, 64 width)."""
        if training and self.dropout and seed is None:
            raise ValueError("a training call of a classifier with dropout needs a seed")
        x = each(self.conv1, x)
        for number, block in enumerate(self.blocks):
            block_seed = None
            if seed is not None:  # an int64 index keeps 64 bits of the seed
                index: Any = tf.constant(number, tf.int64)
                block_seed = tf.random.fold_in(seed, index, alg="philox")
            x = block(x, seed=block_seed, rows=rows, training=training)
        return each(lambda x: space_mean(tf.nn.relu(x)), self.bn(x, training=training))


class Block(Composite):
    """bn, relu, conv3x3, dropout, bn, relu, conv3x3 with the stride, beside a shortcut.

    The shortcut is the input or, if shapes change, a conv1x1 of it with the stride.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float, name: str):
        super().__init__(name=name)
        self.dropout = dropout
        self.bn_1, self.bn_2 = norm("bn_1"), norm("bn_2")
        self.conv_1 = Conv(outputs, 3, "conv_1")
        self.conv_2 = Conv(outputs, 3, "conv_2", stride=stride)
        is_identity = inputs == outputs and stride == 1
        self.shortcut = None if is_identity else Conv(outputs, 1, "shortcut", stride=stride)

    def call(self, x, seed=None, rows=None, training=False):
        y = each(lambda y: self.conv_1(tf.nn.relu(y)), self.bn_1(x, training=training))
        if training and self.dropout:
            rows = rows or each(lambda _: whole, y)
            y = each(lambda y, rows: y * self.dropped(y, seed, rows), y, rows)
        return each(self.lower, x, self.bn_2(y, training=training))

    def lower(self, x, y):
        """Return the output of the block from its input x and the output y of the second norm."""
        y = self.conv_2(tf.nn.relu(y))
        return y + (self.shortcut(x) if self.shortcut else x)

    def dropped(self, y: tf.Tensor, seed: Any, rows: Callable) -> tf.Tensor:
        """Return the factors of dropout, in the shape of y: 0, or 1 / (1 - dropout)."""
        size, *sides = static_shape(y)

        def draw(count: int) -> tf.Tensor:
            ones = tf.ones([count, *sides], y.dtype)
            return tf.nn.experimental.stateless_dropout(ones, self.dropout, seed, rng_alg="philox")

        return rows(draw, size)


def whole(draw: Callable[[int], tf.Tensor], count: int) -> tf.Tensor:
    """Return the rows of images that are the whole batch."""
    return draw(count)


def norm(name: str) -> keras.layers.Layer:
    """Return the classifier's batch norm.

    (In the published code blocks keep 10% of their running averages per step; here all keep 90%.)
    """
    return BatchNorm(name, epsilon=1e-5, momentum=0.9)
