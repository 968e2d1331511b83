"""Crops, resizes and augmentation, pixel by pixel, against NumPy and Pillow."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from utils import pictures


def made_up(rng, *shape) -> np.ndarray:
    return rng.integers(0, 256, shape).astype(np.uint8)


def pillow_resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize in floating point, channel by channel: Pillow's own uint8 rounds between the axes."""
    channels = [
        Image.fromarray(image[..., c].astype(np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for c in range(3)
    ]
    return np.stack(channels, -1)


def assert_rounded(ours: tf.Tensor, theirs: np.ndarray):
    """Ours are theirs rounded; values on a half go either way, by float32's last digits."""
    assert ours.dtype == tf.uint8
    assert np.abs(np.asarray(ours, np.float64) - theirs).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 13), (13, 8), (8, 12)])
def test_center_crop_of_a_picture_as_high_as_wanted_is_a_slice(rng, height, width):
    image = made_up(rng, height, width, 3)
    top, left = (height - 8) // 2, (width - 8) // 2
    wanted = image[top : top + 8, left : left + 8]
    np.testing.assert_array_equal(pictures.center_crop(image, 8), wanted)


@pytest.mark.parametrize(("height", "width", "size"), [(20, 31, 8), (218, 178, 64), (9, 7, 16)])
def test_center_crop_resizes_the_middle_square_as_pillow_does(rng, height, width, size):
    image = made_up(rng, height, width, 3)
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = image[top : top + short, left : left + short]
    assert_rounded(pictures.center_crop(image, size), pillow_resize(square, size, size))


@pytest.mark.parametrize(("height", "width"), [(20, 31), (31, 20)])
def test_random_crop_is_a_slice_of_the_picture_whose_short_side_was_resized(rng, height, width):
    image = made_up(rng, height, width, 3)
    fitted = (8, round(31 * 8 / 20)) if height < width else (round(31 * 8 / 20), 8)
    whole = pillow_resize(image, *fitted)
    for draw in (0.0, 0.3, 0.999):
        top, left = (int(draw * (side - 8 + 1)) for side in fitted)
        cropped = pictures.random_crop(image, 8, tf.constant([draw, draw, 0.0]))
        assert_rounded(cropped, whole[top : top + 8, left : left + 8])


def test_random_crop_reaches_both_ends_and_nothing_beyond(rng):
    image = made_up(rng, 8, 11, 3)
    draws = rng.random((200, 3), np.float32)
    lefts = set()
    for draw in draws:
        crop = pictures.random_crop(image, 8, tf.constant(draw)).numpy()
        lefts |= {left for left in range(4) if np.array_equal(crop, image[:, left : left + 8])}
    assert lefts == {0, 1, 2, 3}


def test_a_picture_of_the_size_is_not_touched(rng):
    image = made_up(rng, 32, 32, 3)
    np.testing.assert_array_equal(pictures.resize(image, 32, 32), image)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_decoding_a_png_gives_pillows_pixels_with_three_channels(rng, mode):
    image = Image.fromarray(made_up(rng, 6, 5, 3)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    decoded = pictures.decode(buffer.getvalue())
    np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


def test_floats_span_minus_one_to_one_and_come_back():
    levels = np.arange(256, dtype=np.uint8)
    floats = pictures.to_float(levels)
    assert floats.dtype == np.float32
    assert (floats[0], floats[-1]) == (-1, 1)
    np.testing.assert_array_equal(np.rint((floats + 1) * 127.5), levels)


def test_padded_crop_is_a_slice_of_the_zero_padded_picture(rng):
    images = rng.standard_normal((50, 6, 7, 3)).astype(np.float32)
    draws = rng.random((50, 3), np.float32)
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    for image, crop, draw in zip(padded, pictures.padded_crop(images, draws), draws, strict=True):
        top, left = int(draw[0] * 9), int(draw[1] * 9)
        np.testing.assert_array_equal(crop, image[top : top + 6, left : left + 7])


def test_flip_mirrors_those_whose_draw_is_below_a_half(rng):
    images = rng.standard_normal((3, 4, 5, 3)).astype(np.float32)
    draws = np.array([[0, 0, 0.1], [0, 0, 0.5], [0, 0, 0.49]], np.float32)
    flipped = pictures.flip(images, draws)
    np.testing.assert_array_equal(flipped[0], images[0][:, ::-1])
    np.testing.assert_array_equal(flipped[1], images[1])
    np.testing.assert_array_equal(flipped[2], images[2][:, ::-1])


def test_augmentation_does_what_it_is_told_and_nothing_else(rng):
    images = rng.standard_normal((5, 8, 8, 3)).astype(np.float32)
    draws = rng.random((5, 3), np.float32)
    cropped = pictures.padded_crop(images, draws)
    for augmentation, wanted in (
        (pictures.Augmentation(), images),
        (pictures.Augmentation(resized_crop=True), images),
        (pictures.Augmentation(flip=True), pictures.flip(images, draws)),
        (pictures.Augmentation(padded_crop=True), pictures.flip(cropped, draws)),
    ):
        np.testing.assert_array_equal(augmentation(images, draws), wanted)


def test_grey_is_the_luma_of_pillow_and_leaves_grey_pictures_alone(rng):
    image = made_up(rng, 60, 50, 3)
    luma = np.asarray(Image.fromarray(image).convert("L"))
    np.testing.assert_array_equal(pictures.grey(image)[..., 0], luma)
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=-1)
    np.testing.assert_array_equal(pictures.grey(levels), levels[..., :1])
