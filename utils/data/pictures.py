"""Pictures: decode them, fit them to the networks' size, augment batches.

A fitted picture is uint8, like an image file of that size, for sets in memory and streamed sets
alike. Without rounding it is float32 with the fractions of resizing, as in the published code.
"""

import dataclasses
import io

import numpy as np
import tensorflow as tf
from PIL import Image

SHAPE = (None, None, 3)
PILLOW_FORMATS = ("BMP", "GIF", "WEBP")
PADDING = 4
_LEVELS = (np.arange(256) / 127.5 - 1).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of training images; evaluations use none."""

    padded_crop: bool = False  # pad by 4, crop at random, flip
    resized_crop: bool = False  # resize the short side, crop a random square: done in decoding
    flip: bool = False

    def __call__(self, images: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Augment images (b, h, w, c) in [-1, 1] by the random numbers `draws` (b, 3) in [0, 1)."""
        if self.padded_crop:
            images = padded_crop(images, draws)
        return flip(images, draws) if self.padded_crop or self.flip else images


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decode the first frame of a picture file as Pillow does: (h, w, 3) uint8, RGB.

    Alpha is dropped; 16-bit PNGs keep their high bytes. A damaged file raises `tf.errors.OpError`.
    """

    def by_pillow() -> tf.Tensor:
        # Stateless: otherwise the key `deterministic` would make decoding serial.
        image = tf.numpy_function(_decode_by_pillow, [encoded], tf.uint8, stateful=False)
        with tf.control_dependencies([tf.debugging.Assert(tf.size(image) > 0, ["no picture"])]):
            return tf.ensure_shape(tf.identity(image), SHAPE)

    def png() -> tf.Tensor:
        return tf.ensure_shape(tf.io.decode_png(encoded, channels=3), SHAPE)

    def jpeg() -> tf.Tensor:  # TensorFlow's default, the fast method, is up to 12 levels off
        image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
        return tf.ensure_shape(image, SHAPE)

    start = tf.strings.substr(encoded, 0, 2)
    cases = [(tf.equal(start, b"\x89P"), png), (tf.equal(start, b"\xff\xd8"), jpeg)]
    return tf.case(cases, default=by_pillow)


def decode_as_tfds(encoded: tf.Tensor) -> tf.Tensor:
    """Decode a picture of TFDS as TFDS and the published code do: (h, w, 3) uint8."""
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _decode_by_pillow(encoded: bytes | np.ndarray) -> np.ndarray:
    """Decode formats that TensorFlow refuses or decodes with wrong colours: BMP, GIF, WEBP.

    Returns an empty array for a damaged file, because TensorFlow would print the traceback of an
    error raised here. Outside a graph the bytes come in an array of no dimension.
    """
    content = encoded.item() if isinstance(encoded, np.ndarray) else encoded
    try:
        with Image.open(io.BytesIO(content), formats=PILLOW_FORMATS) as image:
            return np.asarray(image.convert("RGB"))
    except Exception:  # Pillow raises many types of errors for damaged files
        return np.zeros((0, 0, 3), np.uint8)


def center_crop(image: tf.Tensor, size: int, dtype: tf.DType = tf.uint8) -> tf.Tensor:
    """Crop the central square and resize it: (size, size, c) of `dtype`, in [0, 255]."""
    if image.shape[:2] == (size, size):  # a static shape: saves a third of the time
        return tf.cast(image, dtype)
    shape = tf.shape(image)
    short = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - short) // 2, (shape[1] - short) // 2
    square = resize(image[top : top + short, left : left + short], size, size, dtype)
    return tf.ensure_shape(square, (size, size, image.shape[-1]))


def random_crop(
    image: tf.Tensor, size: int, draws: tf.Tensor, dtype: tf.DType = tf.uint8
) -> tf.Tensor:
    """Resize the short side to `size` and crop a square: (size, size, c) of `dtype`, in [0, 255].

    The long side is truncated to whole pixels, as in the published code. The first two of `draws`
    (3,) float32 in [0, 1) give the offsets from the top and from the left.
    """
    shape = tf.shape(image)[:2]
    fitted = shape * size // tf.reduce_min(shape)
    image = resize(image, fitted[0], fitted[1], dtype)
    free = tf.cast(fitted - size + 1, tf.float32)
    top, left = tf.unstack(tf.cast(draws[:2] * free, tf.int32))
    square = image[top : top + size, left : left + size]
    return tf.ensure_shape(square, (size, size, image.shape[-1]))


def resize(
    image: tf.Tensor,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    dtype: tf.DType = tf.uint8,
) -> tf.Tensor:
    """Resize a uint8 picture, bilinear with antialiasing; one of this size keeps its values.

    Returns (height, width, c) in [0, 255]: rounded uint8, or float32.
    """

    def resized() -> tf.Tensor:
        values = tf.clip_by_value(tf.image.resize(image, (height, width), antialias=True), 0, 255)
        return tf.cast(tf.round(values) if dtype == tf.uint8 else values, dtype)

    fits = tf.reduce_all(tf.equal(tf.shape(image)[:2], tf.stack([height, width])))
    return tf.cond(fits, lambda: tf.cast(image, dtype), resized)


def to_float(images: np.ndarray) -> np.ndarray:
    """Scale images from [0, 255], uint8 or float, to float32 in [-1, 1]."""
    if images.dtype == np.uint8:
        return _LEVELS[images]
    return (images.astype(np.float64) / 127.5 - 1).astype(np.float32)  # equal for whole levels


def padded_crop(images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Pad images (b, h, w, c) by 4 zeros on each side and crop each at random back to h x w.

    The first two of `draws` (b, 3) in [0, 1) give the offsets from the top and from the left.
    """
    batch, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    top, left = (draws[:, :2] * (2 * PADDING + 1)).astype(np.int64).T
    rows = top[:, None] + np.arange(height)
    columns = left[:, None] + np.arange(width)
    return padded[np.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]


def flip(images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Flip images (b, h, w, c) left to right where the third of `draws` (b, 3) is below 0.5."""
    mirrored = draws[:, 2] < 0.5
    return np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def grey(image: tf.Tensor) -> tf.Tensor:
    """Return the luma of a picture (Rec. 601, as Pillow's mode L): (h, w, 3) -> (h, w, 1) uint8."""
    shares = tf.constant([19595, 38470, 7471])  # sum 2^16, so that grey pictures stay the same
    luma = tf.reduce_sum(tf.cast(image, tf.int32) * shares, -1, keepdims=True)
    return tf.cast((luma + 2**15) // 2**16, tf.uint8)
