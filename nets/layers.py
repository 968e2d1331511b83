"""Common parts of the networks: convolutions, pooling, resizing, attention, initial weights.

Variables have the names of the published checkpoints. Where these have a list index, our layer
names have a dot (`layers_out.3`), because Keras allows no slash.
"""

import re
import zlib
from contextvars import ContextVar
from fractions import Fraction
from typing import Any

import keras
import numpy as np
import tensorflow as tf

IMAGE_CHANNELS = (1, 3)  # grey or RGB: far fewer than the 16 that processors compute at once
# Bounds for `conv_by_product`, measured on CPUs: fewest input channels, most pixels of an output.
WIDE_CHANNELS, TINY_PIXELS = 1024, 16
# Whether the convolutions of a network being built are formulated for CPUs: `nets.computing`.
FUSED = ContextVar("FUSED", default=True)
WEIGHTS = 1  # utils.seeds.Purpose.WEIGHTS; nets does not import utils
DRAWN_WEIGHTS = re.compile(r"/kernel$|/layers_out\.\d+/gamma$")  # the second is attention's


class NoSuchNetwork(ValueError):
    """The config names an unknown network."""


class Composite(keras.layers.Layer):
    """A layer or network whose variables are all in its parts.

    Parts are built when they are first called. Without this `build`, Keras would trace `call` once
    to build them and then again, at each level.
    """

    def build(self, shape):
        """Do nothing."""


class Conv(keras.layers.Layer):
    """2-D convolution, padded by (size - 1)/2 on each side: (b, h, w, i) -> (b, h', w', filters).

    `keep` computes only the first `keep` channels.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        name: str,
        *,
        stride: int = 1,
        keep: int | None = None,
        use_bias: bool = True,
    ):
        super().__init__(name=name)
        self.filters, self.size, self.stride = filters, size, stride
        self.keep, self.use_bias, self.fused = keep, use_bias, FUSED.get()

    def build(self, shape):
        kernel_shape = (self.size, self.size, shape[-1], self.filters)
        self.kernel = self.add_weight(name="kernel", shape=kernel_shape, initializer="zeros")
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, x):
        kernel = tf.convert_to_tensor(self.kernel)
        if self.keep:
            kernel = kernel[:, :, :, : self.keep]
        x = self.convolve(x, kernel)
        if not self.use_bias:
            return x
        return tf.nn.bias_add(x, tf.convert_to_tensor(self.bias)[: self.keep])

    def convolve(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Return the convolution without its bias."""
        if self.stride > 1:
            return tf.nn.conv2d(pad_space(x, self.size // 2), kernel, self.stride, "VALID")
        return conv_same(x, kernel, self.fused)


class PooledConv(Conv):
    """The 2x2 means of a 3x3 convolution: (b, h, w, i) -> (b, h/2, w/2, filters)."""

    def convolve(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Return the convolution without its bias."""
        if self.fused:
            return conv_mean_pool(x, kernel)
        return mean_pool(conv_same(x, kernel, fused=False))


def static_shape(x: tf.Tensor | tf.TensorSpec) -> tuple[int, ...]:
    """Return the static shape of a tensor."""
    return tuple(x.shape)  # pyright: ignore[reportReturnType]  # the stubs: int or None


def conv_same(x: tf.Tensor, kernel: tf.Tensor, fused: bool = True) -> tf.Tensor:
    """Return the SAME convolution, `fused` for CPUs: (b, h, w, i) -> (b, h, w, o), static h, w."""
    size, _, inputs, outputs = static_shape(kernel)
    if size != 3 or not fused:
        return tf.nn.conv2d(x, kernel, 1, "SAME")
    _, height, width, _ = static_shape(x)
    in_blocks = not (height % 2 or width % 2)
    if in_blocks and outputs in IMAGE_CHANNELS:
        return conv_to_image(x, kernel)
    if in_blocks and inputs in IMAGE_CHANNELS:
        return conv_from_image(x, kernel)
    if product_pays(kernel, height * width):
        return conv_by_product(pad_space(x, 1), kernel, 1)
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def conv_to_image(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return the SAME 3x3 convolution to few channels: (b, h, w, i) -> (b, h, w, c), h, w even.

    Processors compute 16 channels at once, and fewer just as slowly. So the four pixels of a 2x2
    block are computed as channels of one pixel, by 16 such products per block instead of 4 * 9.
    """
    shifts = [(row, column) for row in range(2) for column in range(2)]
    shifted = [tf.pad(kernel, [[i, 1 - i], [j, 1 - j], [0, 0], [0, 0]]) for i, j in shifts]
    return tf.nn.depth_to_space(tf.nn.conv2d(x, tf.concat(shifted, -1), 2, "SAME"), 2)


@tf.custom_gradient
def conv_from_image(x: tf.Tensor, kernel: tf.Tensor) -> Any:
    """Return the SAME 3x3 convolution of an image: (b, h, w, c) -> (b, h, w, o), h, w even.

    Its gradient with respect to x is a `conv_to_image`.
    """

    def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
        of_kernel = tf.raw_ops.Conv2DBackpropFilter(
            input=x,
            filter_sizes=kernel.shape,
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            padding="SAME",
        )
        return conv_to_image(upstream, turned), of_kernel

    return tf.nn.conv2d(x, kernel, 1, "SAME"), gradients


def conv_mean_pool(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return the 2x2 means of the SAME 3x3 convolution of x: (b, h, w, i) -> (b, h/2, w/2, o).

    Exact, with 9 products per output instead of 36: the means over all 2x2 boxes (stride 1) come
    first, then a convolution with stride 2. h and w are static and even.
    """
    _, height, width, _ = static_shape(x)
    if product_pays(kernel, height * width // 4):
        return conv_by_product(box_means(x), kernel, 2)
    return tf.nn.conv2d(box_means(x), kernel, 2, "VALID")


def product_pays(kernel: tf.Tensor, pixels: int) -> bool:
    """Return whether `conv_by_product` is faster, for outputs of `pixels` pixels per image."""
    return static_shape(kernel)[2] >= WIDE_CHANNELS and pixels <= TINY_PIXELS


def conv_by_product(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Return the VALID convolution of x (b, h, w, i) as a matrix product of patches and kernel.

    In each step oneDNN's convolutions first reorder the kernel. From 1024 to 1024 channels it has
    38 MB in float32, and reordering takes longer than convolving a few tiny images.
    """
    size, _, inputs, outputs = static_shape(kernel)
    height, width = ((side - size) // stride + 1 for side in static_shape(x)[1:3])
    rows, columns = (stride * (count - 1) + 1 for count in (height, width))
    patches = [
        x[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(size)
        for j in range(size)
    ]
    patches = tf.reshape(tf.concat(patches, -1), [-1, size * size * inputs])
    products = tf.matmul(patches, tf.reshape(kernel, [-1, outputs]))
    return tf.reshape(products, [-1, height, width, outputs])


@tf.custom_gradient
def box_means(x: tf.Tensor) -> Any:
    """Return the means over all 2x2 boxes of x with a border of zeros: (b, h + 1, w + 1, c).

    The gradient is the box means of the upstream one; TensorFlow's takes up to three times as long.
    """
    boxes = tf.nn.avg_pool2d(pad_space(x, 1), 2, 1, "VALID")
    return boxes, lambda upstream: tf.nn.avg_pool2d(upstream, 2, 1, "VALID")


def pad_space(x: tf.Tensor, border: int) -> tf.Tensor:
    """Return x with a border of zeros: (b, h, w, c) -> (b, h + 2 border, w + 2 border, c)."""
    return tf.pad(x, [[0, 0], [border, border], [border, border], [0, 0]])


def mean_pool(x: tf.Tensor) -> tf.Tensor:
    """Return the 2x2 means, without the last row or column of an odd size: (b, h//2, w//2, c)."""
    return tf.nn.avg_pool2d(x, 2, 2, "VALID")


def space_mean(x: tf.Tensor) -> tf.Tensor:
    """Return the mean over space, at least in float32: (b, h, w, c) -> (b, c)."""
    return tf.reduce_mean(at_least_float32(x), [1, 2])


def at_least_float32(x: tf.Tensor) -> tf.Tensor:
    """Return x in float32, or unchanged if it is float64: bfloat16 is too coarse for sums."""
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def upsample_nearest(x: tf.Tensor) -> tf.Tensor:
    """Repeat each pixel twice along both sides: (b, h, w, c) -> (b, 2h, 2w, c)."""
    return tf.repeat(tf.repeat(x, 2, 1), 2, 2)


def upsample_bilinear(x: tf.Tensor) -> tf.Tensor:
    """Double both sides of square images: [0, 1, 2, 3] -> [0, .25, .75, 1.25, ..., 2.75, 3]."""
    size = 2 * static_shape(x)[1]
    if x.dtype == tf.float64:  # TensorFlow's own operation, the fastest, knows float32 only
        return resize_bilinear(x, size)
    # XLA needs float32 here, in which it returns the gradient.
    return tf.cast(tf.image.resize(tf.cast(x, tf.float32), [size, size]), x.dtype)


def resize_bilinear(x: tf.Tensor, size: int) -> tf.Tensor:
    """Resize square images with half-pixel centres, repeated edges and no antialiasing.

    (b, h, h, c) -> (b, size, size, c), by two products with the matrix of interpolation weights.
    """
    side, channels = static_shape(x)[2:]
    centres = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(side)))
    weights = tf.constant(weights, x.dtype)
    rows = tf.matmul(weights, tf.reshape(x, [-1, side, side * channels]))
    return tf.matmul(weights, tf.reshape(rows, [-1, size, side, channels]))


class SelfAttention(keras.layers.Layer):
    """x + gamma * attention over space, with keys and values pooled 2x2 (Zhang et al. 2019).

    (b, h, w, c) -> (b, h, w, c), where c is a multiple of 8.
    """

    def __init__(self, channels: int, name: str):
        super().__init__(name=name)
        few, half = share_of(channels, Fraction(1, 8)), channels // 2
        self.theta = Conv(few, 1, "snconv1x1_theta", use_bias=False)
        self.phi = Conv(few, 1, "snconv1x1_phi", use_bias=False)
        self.g = Conv(half, 1, "snconv1x1_g", use_bias=False)
        self.out = Conv(channels, 1, "snconv1x1_o_conv", use_bias=False)

    def build(self, shape):
        self.gamma = self.add_weight(name="gamma", shape=(1,), initializer="zeros")

    def call(self, x):
        height, width, channels = x.shape[1:]
        queries = tf.reshape(self.theta(x), [-1, height * width, channels // 8])
        pixels = (height // 2) * (width // 2)
        keys = tf.reshape(max_pool(self.phi(x)), [-1, pixels, channels // 8])
        values = tf.reshape(max_pool(self.g(x)), [-1, pixels, channels // 2])
        scores = at_least_float32(tf.matmul(queries, keys, transpose_b=True))
        attended = tf.matmul(tf.cast(tf.nn.softmax(scores), values.dtype), values)
        attended = self.out(tf.reshape(attended, [-1, height, width, channels // 2]))
        return x + tf.convert_to_tensor(self.gamma) * attended


def max_pool(x: tf.Tensor) -> tf.Tensor:
    """Return the 2x2 maxima: (b, h, w, c) -> (b, h//2, w//2, c)."""
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def share_of(base: int, share: int | Fraction) -> int:
    """Return `share` times the width `base`; raises NoSuchNetwork if it is no whole number."""
    width = share * base
    if width != int(width):
        raise NoSuchNetwork(f"width {base} is no multiple of {1 / share}, which this network needs")
    return int(width)


def start_weights(network: keras.Model, seed: int, conv_scale: float = 1.0) -> None:
    """Set all kernels, and gamma of attention, to seeded Glorot uniform values.

    Each variable has its own stream, named by its path: a new layer does not change other layers.
    `conv_scale` multiplies the kernels of convolutions. Other variables keep their initial values.
    """
    for variable in network.trainable_variables:
        if DRAWN_WEIGHTS.search(variable.path):
            entropy = [seed, WEIGHTS, zlib.crc32(variable.path.encode())]
            rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
            limit = glorot_limit(tuple(variable.shape))
            scale = conv_scale if len(variable.shape) == 4 else 1.0
            variable.assign(scale * rng.uniform(-limit, limit, variable.shape))


def glorot_limit(shape: tuple[int, ...]) -> float:
    """Return sqrt(6 / (fan in + fan out)) for a kernel (..., i, o); sqrt(3) for a single number."""
    fans = 2 * shape[0] if len(shape) == 1 else np.prod(shape[:-2]) * (shape[-2] + shape[-1])
    return float(np.sqrt(6 / fans))
