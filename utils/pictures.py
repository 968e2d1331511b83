"""Single pictures: decoding, fitting them to the networks' size, and the augmentation of batches.

Fitted pictures are uint8 throughout, as an image file of that size would be, whether they are then
kept in memory or streamed (the published code kept the fractions of resized pictures).
"""

import dataclasses

import numpy as np
import tensorflow as tf

PADDED_CROPS = ("cifar10", "emoji32")  # here `random_crop` is: pad 4, crop, flip
PADDING = 4
_LEVELS = (np.arange(256) / 127.5 - 1).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What training streams do to pictures; evaluations see them without."""

    padded_crop: bool = False  # pad 4, crop and flip
    resized_crop: bool = False  # short side resized, random square: done when decoding
    flip: bool = False

    def __call__(self, images: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Augment (b, h, w, c) images in [-1, 1] by `draws` (b, 3) in [0, 1)."""
        if self.padded_crop:
            images = padded_crop(images, draws)
        return flip(images, draws) if self.padded_crop or self.flip else images


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decode PNG, JPEG, BMP or the first frame of a GIF: (h, w, 3) uint8, grey becomes colour."""
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def center_crop(image: tf.Tensor, size: int) -> tf.Tensor:
    """Crop the middle square of the short side and resize it: (size, size, c) uint8."""
    if image.shape[:2] == (size, size):  # known beforehand: spares small pictures a third
        return image
    shape = tf.shape(image)
    short = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - short) // 2, (shape[1] - short) // 2
    square = resize(image[top : top + short, left : left + short], size, size)
    return tf.ensure_shape(square, (size, size, image.shape[-1]))


def random_crop(image: tf.Tensor, size: int, draws: tf.Tensor) -> tf.Tensor:
    """Resize the short side to `size` and crop a square: (size, size, c) uint8.

    `draws` (3,) float32 in [0, 1): the first two say where, from the top and from the left.
    """
    shape = tf.shape(image)[:2]
    scale = size / tf.reduce_min(shape)
    fitted = tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32)
    image = resize(image, fitted[0], fitted[1])
    free = tf.cast(fitted - size + 1, tf.float32)
    top, left = tf.unstack(tf.cast(draws[:2] * free, tf.int32))
    square = image[top : top + size, left : left + size]
    return tf.ensure_shape(square, (size, size, image.shape[-1]))


def resize(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Resize a uint8 picture, antialiased bilinear; one that has the size is not touched."""

    def resized() -> tf.Tensor:
        values = tf.image.resize(image, (height, width), antialias=True)
        return tf.cast(tf.round(tf.clip_by_value(values, 0, 255)), tf.uint8)

    fits = tf.reduce_all(tf.equal(tf.shape(image)[:2], tf.stack([height, width])))
    return tf.cond(fits, lambda: image, resized)


def to_float(images: np.ndarray) -> np.ndarray:
    """Scale uint8 images to float32 in [-1, 1]."""
    return _LEVELS[images]


def padded_crop(images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Pad (b, h, w, c) by 4 with 0 on each side and crop back to h x w, each image elsewhere.

    `draws` (b, 3) in [0, 1): the first two say where, from the top and from the left.
    """
    batch, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    top, left = (draws[:, :2] * (2 * PADDING + 1)).astype(np.int64).T
    rows = top[:, None] + np.arange(height)
    columns = left[:, None] + np.arange(width)
    return padded[np.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]


def flip(images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Mirror the images left to right whose third draw is below a half."""
    mirrored = draws[:, 2] < 0.5
    return np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def grey(image: tf.Tensor) -> tf.Tensor:
    """Return the luma of a picture (Rec. 601, as Pillow's mode L): (h, w, 3) -> (h, w, 1) uint8."""
    shares = tf.constant([19595, 38470, 7471])  # of 2^16; three equal channels stay what they are
    luma = tf.reduce_sum(tf.cast(image, tf.int32) * shares, -1, keepdims=True)
    return tf.cast((luma + 2**15) // 2**16, tf.uint8)
