"""Crops, resizes and augmentation, pixel by pixel, against NumPy and Pillow."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from utils.data import pictures


def made_up(rng, *shape) -> np.ndarray:
    return rng.integers(0, 256, shape).astype(np.uint8)


def pillow_resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize in floating point, channel by channel: in uint8 Pillow rounds between the axes."""
    channels = [
        Image.fromarray(image[..., c].astype(np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for c in range(3)
    ]
    return np.stack(channels, -1)


def assert_rounded(ours: tf.Tensor, theirs: np.ndarray):
    """Ours equal Pillow's after rounding; halves may go either way, by float32's last digits."""
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


@pytest.mark.parametrize(("height", "width", "fitted"), [(20, 37, (8, 14)), (37, 20, (14, 8))])
def test_random_crop_is_a_slice_of_the_picture_whose_short_side_was_resized(
    rng, height, width, fitted
):
    """The long side, 14.8 pixels, is truncated."""
    image = made_up(rng, height, width, 3)
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


def encoded(rng, mode: str, ending: str, **settings) -> tuple[bytes, np.ndarray]:
    """Return a smooth picture as a file, and its pixels as Pillow reads them."""
    image = Image.fromarray(made_up(rng, 3, 4, 3)).resize((21, 18), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.convert(mode, palette=Image.Palette.ADAPTIVE).save(buffer, ending, **settings)
    return buffer.getvalue(), np.asarray(Image.open(buffer).convert("RGB"))


@pytest.mark.parametrize(
    ("mode", "ending"),
    [(mode, "BMP") for mode in ("RGB", "RGBA", "L", "P", "1")]
    + [(mode, "PNG") for mode in ("RGBA", "LA")]
    + [(mode, "JPEG") for mode in ("RGB", "L", "CMYK")]
    + [("P", "GIF"), ("RGB", "WEBP"), ("RGBA", "WEBP")],
)
def test_every_kind_of_file_has_pillows_colours(rng, mode, ending):
    file, wanted = encoded(rng, mode, ending)
    np.testing.assert_array_equal(pictures.decode(tf.constant(file)), wanted)
    (read,) = tf.data.Dataset.from_tensors(file).map(pictures.decode)
    np.testing.assert_array_equal(read, wanted)


@pytest.mark.parametrize("settings", [{"quality": 95}, {"subsampling": 0}, {"progressive": True}])
def test_jpeg_files_are_decoded_as_by_pillow_and_tfds_pictures_as_by_tfds(rng, settings):
    file, wanted = encoded(rng, "RGB", "JPEG", **settings)
    np.testing.assert_array_equal(pictures.decode(file), wanted)
    np.testing.assert_array_equal(pictures.decode_as_tfds(file), tf.image.decode_image(file))
    assert (pictures.decode_as_tfds(file).numpy() != wanted).any()


@pytest.mark.parametrize("ending", ["GIF", "WEBP"])
def test_the_first_frame_of_a_film_is_its_picture(rng, ending):
    frames = [Image.fromarray(made_up(rng, 6, 5, 3)).convert("P") for _ in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, ending, save_all=True, append_images=frames[1:], lossless=True)
    wanted = np.asarray(frames[0].convert("RGB"))
    np.testing.assert_array_equal(pictures.decode(buffer.getvalue()), wanted)


def test_a_grey_png_of_16_bits_keeps_its_high_bytes(rng):
    grey = rng.integers(0, 2**16, (6, 5)).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    high = np.repeat((grey >> 8)[..., None], 3, -1)
    np.testing.assert_array_equal(pictures.decode(buffer.getvalue()), high)


@pytest.mark.parametrize("file", [b"", b"<html>", b"BM", b"RIFF    WEBP", b"\x89PNG", b"\xff\xd8"])
def test_what_is_no_picture_is_an_error_of_tensorflow_that_streams_leave_out(file, capfd):
    with pytest.raises(tf.errors.OpError):
        pictures.decode(file)
    stream = tf.data.Dataset.from_tensors(file).map(pictures.decode).ignore_errors()
    assert not list(stream)
    assert "Traceback" not in capfd.readouterr().err


def test_resized_pictures_keep_their_fractions_where_asked(rng):
    image = made_up(rng, 20, 31, 3)
    draws = tf.constant([0.3, 0.7, 0])
    for fit in (pictures.center_crop, lambda *a: pictures.random_crop(*a[:2], draws, *a[2:])):
        whole, exact = fit(image, 8), fit(image, 8, tf.float32)
        np.testing.assert_array_equal(np.rint(exact), whole)
        assert np.mean(np.rint(exact) != exact) > 0.9
    square = made_up(rng, 8, 8, 3)
    kept = pictures.center_crop(square, 8, tf.float32).numpy()
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(pictures.to_float(kept), pictures.to_float(square))


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
