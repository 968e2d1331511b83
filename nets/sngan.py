"""SNGAN networks: energies and generators at 32, 64 and 128 pixels.

The ResNets of Miyato et al. 2018 (spectral normalisation GAN), without spectral normalisation. A
network is a table of rows; widths are fractions of a base width, that of the widest layer.
"""

from collections.abc import Sequence
from fractions import Fraction

import keras
import tensorflow as tf

from nets.layers import (
    Composite,
    Conv,
    PooledConv,
    mean_pool,
    share_of,
    space_mean,
    upsample_bilinear,
)
from nets.norms import BatchNorm, each

SIXTEENTH, EIGHTH, QUARTER, HALF = (Fraction(1, n) for n in (16, 8, 4, 2))

# image size: (published base width, blocks of (width, down))
EBM_64_BLOCKS = [(SIXTEENTH, True), (EIGHTH, True), (QUARTER, True), (HALF, True), (1, True)]
EBM_BLOCKS = {
    32: (256, [(1, True), (1, True), (1, False), (1, False)]),
    64: (1024, EBM_64_BLOCKS),
    128: (1024, [*EBM_64_BLOCKS, (1, False)]),
}

# image size: (published base width, widths of the blocks)
GEN_BLOCKS = {
    32: (256, [1, 1, 1]),
    64: (1024, [HALF, QUARTER, EIGHTH, SIXTEENTH]),
    128: (1024, [1, HALF, QUARTER, EIGHTH, SIXTEENTH]),
}


class EbmSngan(Composite, keras.Model):
    """Energies of images: (b, size, size, 1 or 3) in [-1, 1] -> (b, 1)."""

    def __init__(self, shape: Sequence[int], width: int | None = None):
        super().__init__(name="ebm_sngan")
        published_width, rows = EBM_BLOCKS[shape[0]]
        self.width = width or published_width
        self.blocks, inputs = [], shape[-1]
        for number, (share, down) in enumerate(rows, start=1):
            outputs = share_of(self.width, share)
            name = "conv_1" if number == 1 else f"block{number}"
            self.blocks.append(EbmBlock(inputs, outputs, down, is_stem=number == 1, name=name))
            inputs = outputs
        head = f"lin_{len(rows) + 1}"
        self.head = keras.layers.Dense(1, use_bias=False, name=head, dtype=self.variable_dtype)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(space_mean(tf.nn.relu(x)))


class EbmBlock(Composite):
    """relu, conv3x3, relu, conv3x3, [down], beside a shortcut: identity, or [down], conv1x1.

    The stem (first block) has no leading relu. In the published code, blocks other than the stem
    pool after the convolution of the shortcut. The two commute; pooling first takes a quarter of
    the work.
    """

    def __init__(self, inputs: int, outputs: int, down: bool, *, is_stem: bool, name: str):
        super().__init__(name=name)
        self.down, self.is_stem = down, is_stem
        self.conv_1 = Conv(outputs, 3, "conv_1")
        self.conv_2 = (PooledConv if down else Conv)(outputs, 3, "conv_2")
        self.sc = Conv(outputs, 1, "sc") if down or inputs != outputs else None

    def call(self, x):
        y = self.conv_1(x if self.is_stem else tf.nn.relu(x))
        y = self.conv_2(tf.nn.relu(y))
        x = mean_pool(x) if self.down else x
        return y + (self.sc(x) if self.sc else x)


class GenSngan(Composite, keras.Model):
    """Images from normal latents: (b, z_sz) -> (b, size, size, 1 or 3) in [-1, 1].

    Latents and images may be lists of pieces; only the batch norms use all pieces together. In
    training the moving averages of batch norms take `moves` steps.
    """

    def __init__(self, shape: Sequence[int], width: int | None = None, z_sz: int = 128):
        super().__init__(name="gen_sngan")
        published_width, shares = GEN_BLOCKS[shape[0]]
        self.width, self.z_sz = width or published_width, z_sz
        self.lin = keras.layers.Dense(16 * self.width, name="lin_1")
        self.blocks = [
            GenBlock(share_of(self.width, share), name=f"block{number}")
            for number, share in enumerate(shares, start=2)
        ]
        tail = len(shares) + 2
        self.bn = norm(f"bn_{tail}")
        self.conv = Conv(shape[-1], 3, f"conv_{tail}")

    def call(self, z, training=False, moves=1):
        x = each(self.first, z)
        for block in self.blocks:
            x = block(x, training=training, moves=moves)
        return each(self.last, self.bn(x, training=training, moves=moves))

    def first(self, z):
        """Return the input of the first block: (b, z_sz) -> (b, 4, 4, width)."""
        channels_first = tf.reshape(self.lin(z), [-1, self.width, 4, 4])
        return tf.transpose(channels_first, [0, 2, 3, 1])

    def last(self, x):
        """Return images from the output of the last batch norm."""
        return tf.tanh(tf.cast(self.conv(tf.nn.relu(x)), self.variable_dtype))

    def sample_latents(self, b: int, seed: tf.Tensor) -> tf.Tensor:
        """Draw (b, z_sz) float32 latents, standard normal, from a (2,) integer seed."""
        return tf.random.stateless_normal([b, self.z_sz], seed, alg="philox")

    def symbolic_inputs(self) -> list:
        """Return symbolic inputs of `call`, to build the network."""
        return [keras.Input((self.z_sz,))]


class GenBlock(Composite):
    """bn, relu, up, conv3x3, bn, relu, conv3x3, beside a shortcut: up, conv1x1.

    Upsampling and a 1x1 convolution commute, so the shortcut convolves the small image first.
    """

    def __init__(self, outputs: int, name: str):
        super().__init__(name=name)
        self.bn_1, self.bn_2 = norm("bn_1"), norm("bn_2")
        self.conv_1 = Conv(outputs, 3, "conv_1")
        self.conv_2 = Conv(outputs, 3, "conv_2")
        self.sc = Conv(outputs, 1, "sc")

    def call(self, x, training=False, moves=1):
        y = each(self.upper, self.bn_1(x, training=training, moves=moves))
        y = self.bn_2(y, training=training, moves=moves)
        return each(self.lower, x, y)

    def upper(self, y):
        """Return the input of the second batch norm from the output of the first."""
        return self.conv_1(upsample_bilinear(tf.nn.relu(y)))

    def lower(self, x, y):
        """Return the output of the block from its input x and the output y of the second norm."""
        return self.conv_2(tf.nn.relu(y)) + upsample_bilinear(self.sc(x))


def norm(name: str) -> keras.layers.Layer:
    """Return the generators' batch norm."""
    return BatchNorm(name, epsilon=1e-3, momentum=0.99)
