"""Standard normal noise of chains: named streams that can be drawn for a part of a batch alone."""

import math
from typing import Protocol

import tensorflow as tf

from nets.layers import static_shape
from utils.seeds import draw_each, folded, folding_draw

PHILOX, PHILOX_BYTES = 1, 16  # TensorFlow's number of the generator; what a count of it gives


class Noise(Protocol):
    """Number of a step -> its noise, (b, h, w, c)."""

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """Return the noise of a step."""
        ...

    def part(self, part: int, parts: int) -> "Noise":
        """Return the noise of one of so many equal parts of the batch."""
        ...


class BatchNoise:
    """Noise `like` a batch (b, h, w, c), all of it from one stream per step.

    A part of the batch draws its own piece of the stream and no more: Philox can begin anywhere.
    """

    def __init__(self, stream: tf.Tensor, like: tf.Tensor, part: int = 0, parts: int = 1):
        self.stream, self.like, self.place = stream, like, (part, parts)

    def part(self, part: int, parts: int) -> "BatchNoise":
        """Return the noise of one of so many equal parts of the batch."""
        return BatchNoise(self.stream, self.like, part, parts)

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """Return the noise of a step."""
        (part, parts), like = self.place, self.like
        key = folded(self.stream, step)
        if parts == 1:
            return tf.random.stateless_normal(tf.shape(like), key, dtype=like.dtype, alg="philox")
        size, *sides = static_shape(like)
        shape = [size // parts, *sides]
        blocks, rest = divmod(math.prod(shape) * like.dtype.size, PHILOX_BYTES)
        if rest:
            return tf.split(BatchNoise(self.stream, like)(step), parts)[part]
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=key)
        return tf.raw_ops.StatelessRandomNormalV2(
            shape=shape,
            key=key,
            counter=tf.stack([counter[0] + part * blocks, counter[1]]),
            alg=PHILOX,
            dtype=like.dtype,
        )


class ImageNoise:
    """Noise of images (h, w, c), each from a stream of its own: (b,) `streams`."""

    def __init__(self, streams: tf.Tensor, image: tf.TensorSpec):
        self.streams, self.image = streams, image

    def part(self, part: int, parts: int) -> "ImageNoise":
        """Return the noise of one of so many equal parts of the batch."""
        return ImageNoise(tf.split(self.streams, parts)[part], self.image)

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """Return the noise of a step."""
        shape, dtype = static_shape(self.image), self.image.dtype

        def draw(stream: tf.Tensor) -> tf.Tensor:
            key = folded(stream, step)
            return tf.random.stateless_normal(shape, key, dtype=dtype, alg="philox")

        return draw_each(draw, self.streams, shape, dtype)


def make_noise(seed: tf.Tensor, like: tf.Tensor) -> BatchNoise:
    """Return the noise of a batch `like` (b, h, w, c) from a (2,) seed of `utils.seeds.fold`."""
    return BatchNoise(folding_draw(seed), like)


def make_image_noise(keys: tf.Tensor, like: tf.Tensor) -> ImageNoise:
    """Return the noise of images `like` (b, h, w, c) from the (b, 2) seeds of each."""
    streams = tf.map_fn(folding_draw, keys, fn_output_signature=tf.int64)
    return ImageNoise(streams, tf.TensorSpec(like.shape[1:], like.dtype))
