"""Images of networks as PNG pictures: rounded to bytes, single or tiled."""

import numpy as np
from PIL import Image

from utils.errors import Diverged
from utils.files.whole import join, make_folder, whole_file

NUM_SHOWN = 64  # images per picture
GAP = 208  # grey level between images, which differs from white backgrounds


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Round images from [-1, 1] to uint8 0..255; values outside are clipped.

    Raises Diverged for NaN and Inf.
    """
    return np.rint(to_bytes(images)).astype(np.uint8)


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Map images from [-1, 1] to 0..255, unrounded; values outside are clipped.

    Raises Diverged for NaN and Inf, which clipping and rounding would hide.
    """
    if not np.isfinite(images).all():
        raise Diverged("chains diverged: their images hold NaN or Inf")
    return (np.clip(images, -1, 1) + 1) * 127.5


def tile(images: np.ndarray, columns: int | None = None, gap: int = 2) -> np.ndarray:
    """Arrange (n, h, w, c) uint8 images in one (H, W, c) picture, `gap` grey pixels apart."""
    count, height, width, channels = images.shape
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    cells = np.full((rows * columns, height + gap, width + gap, channels), GAP, np.uint8)
    cells[:count, :height, :width] = images
    grid = cells.reshape(rows, columns, height + gap, width + gap, channels)
    picture = grid.swapaxes(1, 2).reshape(rows * (height + gap), columns * (width + gap), channels)
    return np.pad(picture, ((gap, 0), (gap, 0), (0, 0)), constant_values=GAP)


def save_images(images: np.ndarray, folder: str, first: int = 0) -> None:
    """Write (n, h, w, c) images in [-1, 1] as `000000.png`, ..., the first with number `first`."""
    make_folder(folder)
    for number, pixels in enumerate(to_uint8(images), first):
        save_image(pixels, join(folder, f"{number:06}.png"))


def save_image(pixels: np.ndarray, path: str) -> None:
    """Write (h, w, 1 or 3) uint8 pixels as a PNG file."""
    with whole_file(path) as temporary:
        to_picture(pixels).save(temporary)


def save_grid(images: np.ndarray, path: str, columns: int | None = None) -> None:
    """Write (n, h, w, c) images in [-1, 1] as one PNG file; `columns` None: a square grid."""
    with whole_file(path) as temporary:
        to_picture(tile(to_uint8(images), columns)).save(temporary)


def to_picture(pixels: np.ndarray) -> Image.Image:
    """Return (h, w, 1 or 3) uint8 pixels as a grey or a colour picture."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
