"""BigGAN-deep networks: energies, generators, and class-conditional generators.

The networks of Brock et al. 2019 (appendix B), with their spectral norms folded into the kernels:
the published experiments load these networks and never train them. A network is a table of rows;
widths are multiples of a base width.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

import keras
import tensorflow as tf

from nets.layers import (
    Composite,
    Conv,
    SelfAttention,
    mean_pool,
    resize_bilinear,
    share_of,
    space_mean,
    upsample_nearest,
)
from nets.norms import BatchNorm, ConditionalBatchNorm, StoredBatchNorm, truncation_weights

EBM_WIDTH, GEN_WIDTH = 48, 128  # published
NUM_CLASSES = 1000  # ImageNet's

# image size: (block before which attention is, blocks of (resized, inputs, outputs))
EBM_224_BLOCKS = (
    (True, 1, 2), (False, 2, 2), (True, 2, 4), (False, 4, 4), (True, 4, 8), (False, 8, 8),
    (True, 8, 8), (False, 8, 8), (True, 8, 16), (False, 16, 16), (True, 16, 16), (False, 16, 16),
)  # fmt: skip
EBM_BLOCKS = {
    64: (1, (
        (False, 1, 1), (True, 1, 2), (False, 2, 2), (True, 2, 4), (False, 4, 4), (True, 4, 8),
        (False, 8, 8), (True, 8, 16), (False, 16, 16),
    )),
    128: (2, (
        (True, 1, 2), (False, 2, 2), (True, 2, 4), (False, 4, 4), (True, 4, 8), (False, 8, 8),
        (True, 8, 16), (False, 16, 16), (True, 16, 16), (False, 16, 16),
    )),
    224: (4, EBM_224_BLOCKS),
    256: (4, EBM_224_BLOCKS),
}  # fmt: skip

GEN_ATTENTION = 8  # the block before which attention is
GEN_128_BLOCKS = (
    (False, 16, 16), (True, 16, 16), (False, 16, 16), (True, 16, 8), (False, 8, 8), (True, 8, 4),
    (False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1),
)  # fmt: skip
GEN_256_BLOCKS = (
    (False, 16, 16), (True, 16, 16), (False, 16, 16), (True, 16, 8), (False, 8, 8), (True, 8, 8),
    (False, 8, 8), (True, 8, 4), (False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1),
)  # fmt: skip
GEN_BLOCKS = {64: GEN_128_BLOCKS[:-1], 128: GEN_128_BLOCKS}
GEN_COND_BLOCKS = {
    64: GEN_128_BLOCKS, 128: GEN_128_BLOCKS, 224: GEN_256_BLOCKS, 256: GEN_256_BLOCKS,
}  # fmt: skip


class EbmBiggan(Composite, keras.Model):
    """Energies of images: (b, size, size, 3) in [-1, 1] -> (b, 1)."""

    def __init__(self, shape: Sequence[int], width: int | None = None):
        super().__init__(name="ebm_biggan")
        self.width = width or EBM_WIDTH
        self.attention_block, rows = EBM_BLOCKS[shape[0]]
        self.rgb_conv = Conv(self.width, 3, "rgb_conv")
        self.attention = attention_before(rows, self.attention_block, self.width)
        self.blocks = [
            EbmBlock(down, i * self.width, o * self.width, block_name(n, self.attention_block))
            for n, (down, i, o) in enumerate(rows)
        ]
        self.head = keras.layers.Dense(
            1, use_bias=False, name="linear_head", dtype=self.variable_dtype
        )

    def call(self, x):
        x = self.rgb_conv(x)
        for number, block in enumerate(self.blocks):
            x = self.attention(x) if number == self.attention_block else x
            x = block(x)
        return self.head(space_mean(tf.nn.relu(x)))


class EbmBlock(Composite):
    """relu, conv1x1, relu, conv3x3, relu, conv3x3, relu, [down], conv1x1, beside a shortcut.

    The shortcut is [down] of the input and, for more outputs than inputs, a conv1x1 of it as well.
    """

    def __init__(self, down: bool, inputs: int, outputs: int, name: str):
        super().__init__(name=name)
        self.down = down
        self.convs = bottleneck(inputs, outputs)
        self.conv_sc = Conv(outputs - inputs, 1, "conv_sc") if outputs > inputs else None

    def call(self, x):
        y = x
        for conv in self.convs[:-1]:
            y = conv(tf.nn.relu(y))
        y = tf.nn.relu(y)
        if self.down:
            x, y = mean_pool(x), mean_pool(y)
        if self.conv_sc:
            x = tf.concat([x, self.conv_sc(x)], -1)
        return x + self.convs[-1](y)


class GenBiggan(Composite, keras.Model):
    """Images from truncated normal latents: (b, z_sz) -> (b, size, size, 3) in [-1, 1]."""

    type_name, blocks_of = "gen_biggan", GEN_BLOCKS

    def __init__(self, shape: Sequence[int], width: int | None = None, z_sz: int = 128):
        super().__init__(name=self.type_name)
        self.size, self.width, self.z_sz = shape[0], width or GEN_WIDTH, z_sz
        rows = self.blocks_of[self.size]
        self.gen_z = keras.layers.Dense(16 * 16 * self.width, name="gen_z")
        self.attention = attention_before(rows, GEN_ATTENTION, self.width)
        self.blocks = [
            GenBlock(up, i * self.width, o * self.width, self.norm, block_name(n, GEN_ATTENTION))
            for n, (up, i, o) in enumerate(rows)
        ]
        self.bn = self.last_norm("bn")
        self.conv_to_rgb = Conv(self.width, 3, "conv_to_rgb", keep=3)

    @staticmethod
    def norm(name: str) -> keras.layers.Layer:
        """Return a batch norm of this generator."""
        return BatchNorm(name, epsilon=1e-4, momentum=0.99)

    last_norm = norm

    def call(self, z, training=False):  # Keras passes `training` on to the batch norms
        return self.images_of(z)

    def images_of(self, z, block_condition=(), last_condition=()):
        """Return the images of latents; the conditions are further inputs of the batch norms."""
        x = tf.reshape(self.gen_z(z), [-1, 4, 4, 16 * self.width])
        for number, block in enumerate(self.blocks):
            x = self.attention(x) if number == GEN_ATTENTION else x
            x = block(x, block_condition)
        x = self.conv_to_rgb(tf.nn.relu(self.bn(x, *last_condition)))
        return tf.tanh(tf.cast(x, self.variable_dtype))

    def sample_latents(self, b: int, seed: tf.Tensor, truncation: float = 1.0) -> tf.Tensor:
        """Draw (b, z_sz) float32 from a (2,) seed: `truncation` times normals truncated at 2."""
        z = tf.random.stateless_truncated_normal([b, self.z_sz], seed, alg="philox")
        return truncation * z

    def symbolic_inputs(self) -> list:
        """Return symbolic inputs of `call`, to build the network."""
        return [keras.Input((self.z_sz,))]


class GenBigganCond(GenBiggan):
    """Images from latents and ImageNet classes: (b, z_sz), (b,) -> (b, size, size, 3) in [-1, 1].

    `truncation` in (0, 1] must be that of the latents. Images of 224 and 64 pixels are resized from
    256 and 128.
    """

    type_name, blocks_of = "gen_biggan_cond", GEN_COND_BLOCKS
    norm, last_norm = ConditionalBatchNorm, StoredBatchNorm

    def __init__(self, shape: Sequence[int], width: int | None = None, z_sz: int = 128):
        super().__init__(shape, width, z_sz)
        self.embeddings = keras.layers.Dense(128, use_bias=False, name="embeddings")

    def call(self, z, labels, truncation=1.0, training=False):
        classes = self.embeddings(tf.one_hot(labels, NUM_CLASSES))
        condition = tf.concat([tf.cast(z, classes.dtype), classes], 1)
        rows = tf.constant(truncation_weights(truncation), self.variable_dtype)
        images = self.images_of(condition, (condition, rows), (rows,))
        return images if images.shape[1] == self.size else resize_bilinear(images, self.size)

    def sample_labels(self, b: int, seed: tf.Tensor) -> tf.Tensor:
        """Draw (b,) int32 uniform classes from a (2,) int seed."""
        return tf.random.stateless_uniform([b], seed, 0, NUM_CLASSES, dtype=tf.int32, alg="philox")

    def symbolic_inputs(self) -> list:
        """Return symbolic inputs of `call`, to build the network."""
        return [*super().symbolic_inputs(), keras.Input((), dtype="int32")]


class GenBlock(Composite):
    """bn, relu, conv1x1, bn, relu, [up], conv3x3, bn, relu, conv3x3, bn, relu, conv1x1.

    The shortcut beside it is [up] of the first channels of the input, as many as outputs.
    """

    def __init__(self, up: bool, inputs: int, outputs: int, norm: Callable, name: str):
        super().__init__(name=name)
        self.up, self.outputs = up, outputs
        self.norms = [norm(f"bn_{number}") for number in range(4)]
        self.convs = bottleneck(inputs, outputs)

    def call(self, x, condition=()):
        y = x
        for number, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True)):
            y = tf.nn.relu(norm(y, *condition))
            y = upsample_nearest(y) if self.up and number == 1 else y
            y = conv(y)
        x = x[..., : self.outputs]
        return y + (upsample_nearest(x) if self.up else x)


def bottleneck(inputs: int, outputs: int) -> list[Conv]:
    """Return the four convolutions of a block; inner ones have a quarter of the input's width."""
    inner = share_of(inputs, Fraction(1, 4))
    widths_and_sizes = ((inner, 1), (inner, 3), (inner, 3), (outputs, 1))
    return [Conv(w, size, f"conv_{n}") for n, (w, size) in enumerate(widths_and_sizes)]


def attention_before(rows: Sequence, block: int, width: int) -> SelfAttention:
    """Return the attention before block `block`."""
    return SelfAttention(rows[block][1] * width, f"layers_out.{block}")


def block_name(number: int, attention_block: int) -> str:
    """Return the published name of a block; attention has a number of its own."""
    return f"layers_out.{number + (number >= attention_block)}"
