import numpy as np
import pytest
from PIL import Image

from utils.errors import Diverged
from utils.images import save_grid, save_images, tile, to_uint8


def test_rounding_to_bytes_is_to_the_nearest_and_clips():
    values = np.array([-2.0, -1.0, -1 + 0.49 / 127.5, -1 + 0.51 / 127.5, 0.0, 1.0, 3.0])
    assert to_uint8(values).tolist() == [0, 0, 0, 1, 128, 255, 255]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_cast_to_bytes(value, tmp_path):
    images = np.zeros((2, 4, 4, 3), np.float32)
    images[1, 2, 3, 0] = value
    for cast in (to_uint8, lambda x: save_images(x, str(tmp_path / "images"))):
        with pytest.raises(Diverged, match="NaN or Inf"):
            cast(images)
    assert not list(tmp_path.rglob("*.png"))


def test_a_grid_has_every_image_in_reading_order():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)
    grid = tile(images, columns=3, gap=2)
    assert grid.shape == (2 + 2 * 6, 2 + 3 * 8, 3)
    for i in range(5):
        row, column = divmod(i, 3)
        cell = grid[2 + row * 6 : 6 + row * 6, 2 + column * 8 : 8 + column * 8]
        assert (cell == i).all()


def test_a_saved_grid_is_a_png_of_the_right_colours(tmp_path):
    images = np.zeros((1, 8, 8, 3), np.float32)
    images[..., 0], images[..., 2] = 1, -1
    save_grid(images, str(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.getpixel((5, 5)) == (255, 128, 0)


def test_images_of_one_channel_are_saved_as_grey_pngs(tmp_path):
    images = np.linspace(-1, 1, 2 * 64).reshape(2, 8, 8, 1)
    save_grid(images, str(tmp_path / "grid.png"), columns=2)
    save_images(images, str(tmp_path))
    with Image.open(tmp_path / "grid.png") as grid, Image.open(tmp_path / "000001.png") as one:
        assert grid.mode == one.mode == "L"
        np.testing.assert_array_equal(np.asarray(grid)[2:10, 12:20], np.asarray(one))
        np.testing.assert_array_equal(np.asarray(one), to_uint8(images)[1, ..., 0])
