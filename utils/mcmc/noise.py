"""Standard normal noise of chains: named streams from which any rows of a batch can be drawn."""

import math

import tensorflow as tf

from nets.layers import static_shape
from utils.seeds import WHOLE, Share, draw_each, folded, folding_draw

PHILOX, PHILOX_BYTES = 1, 16  # TensorFlow's number of the generator; bytes per count


class BatchNoise:
    """Noise with shape and type of `like`, a share (b, h, w, c) of the whole batch.

    Each step has one stream. A share draws only its own part of it: Philox can begin anywhere.
    """

    def __init__(self, stream: tf.Tensor, like: tf.TensorSpec, share: Share):
        self.stream, self.like, self.share = stream, like, share

    def piece(self, number: int | tf.Tensor, pieces: int) -> "BatchNoise":
        """Return the noise of piece `number` of `pieces` equal pieces of this share."""
        size, *sides = static_shape(self.like)
        like = tf.TensorSpec([size // pieces, *sides], self.like.dtype)
        return BatchNoise(self.stream, like, self.share.piece(number, pieces))

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """Return the noise of a step."""
        key, shape, dtype = folded(self.stream, step), static_shape(self.like), self.like.dtype
        blocks, rest = divmod(math.prod(shape) * dtype.size, PHILOX_BYTES)
        if self.share.count == 1 or rest:

            def draw(rows: int) -> tf.Tensor:
                return tf.random.stateless_normal(
                    [rows, *shape[1:]], key, dtype=dtype, alg="philox"
                )

            return self.share.rows(draw, shape[0])
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=key)
        first = tf.cast(self.share.number, counter.dtype) * blocks
        return tf.raw_ops.StatelessRandomNormalV2(
            shape=shape,
            key=key,
            counter=tf.stack([counter[0] + first, counter[1]]),
            alg=PHILOX,
            dtype=dtype,
        )


class ImageNoise:
    """Noise of images (h, w, c), each from its own stream; `streams` is (b,)."""

    def __init__(self, streams: tf.Tensor, image: tf.TensorSpec):
        self.streams, self.image = streams, image

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """Return the noise of a step."""
        shape, dtype = static_shape(self.image), self.image.dtype

        def draw(stream: tf.Tensor) -> tf.Tensor:
            key = folded(stream, step)
            return tf.random.stateless_normal(shape, key, dtype=dtype, alg="philox")

        return draw_each(draw, self.streams, shape, dtype)


def make_noise(seed: tf.Tensor, like: tf.Tensor, share: Share = WHOLE) -> BatchNoise:
    """Return the noise of a share `like` (b, h, w, c) of the whole batch, from a (2,) seed.

    The seed comes from `utils.seeds.fold` and is the same for all shares; b must be static.
    """
    return BatchNoise(folding_draw(seed), tf.TensorSpec(like.shape, like.dtype), share)


def make_image_noise(keys: tf.Tensor, like: tf.Tensor) -> ImageNoise:
    """Return the noise of images `like` (b, h, w, c) from their (b, 2) seeds."""
    streams = tf.map_fn(folding_draw, keys, fn_output_signature=tf.int64)
    return ImageNoise(streams, tf.TensorSpec(like.shape[1:], like.dtype))
