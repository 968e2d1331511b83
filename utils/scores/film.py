"""The film of chains: an animated PNG of the first chains over their steps, of limited size."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.files.whole import whole_file
from utils.images import tile, to_picture

CHAINS = 16  # per frame at most
MOST_BYTES = 5_000_000
SHRUNK = ((CHAINS, 1), (9, 1), (4, 1), (1, 1), (1, 2), (1, 4), (1, 8))  # chains; every nth frame
SIDE, STRIP = 400, 26  # pixels: pictures are enlarged to this side; the strip below has the step
PACE, PAUSE = 120, 1500  # milliseconds per frame, and for the last frame


def save_film(frames: Mapping[int, np.ndarray], path: str) -> None:
    """Write the film of chains (n, h, w, c) uint8 by step, with as many as fit into 5 MB."""
    film = b""
    for count, every in SHRUNK:
        steps = sorted(frames)[::-every][::-1]  # always with the last one
        film = _encoded([_frame(frames[step][:count], step) for step in steps])
        if len(film) <= MOST_BYTES:
            break
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        file.write(film)


def _frame(images: np.ndarray, step: int) -> Image.Image:
    """Return the frame of chains after `step` steps."""
    grid = to_picture(tile(images))
    scale = max(1, SIDE // grid.width)
    grid = grid.resize((scale * grid.width, scale * grid.height), Image.Resampling.NEAREST)
    frame = Image.new(grid.mode, (grid.width, grid.height + STRIP), "white")
    frame.paste(grid)
    font = ImageFont.load_default(16)
    ImageDraw.Draw(frame).text((6, grid.height + 2), f"step {step:,}", fill="black", font=font)
    return frame


def _encoded(frames: Sequence[Image.Image]) -> bytes:
    """Encode frames as an animated PNG that repeats forever."""
    file, durations = io.BytesIO(), [*[PACE] * (len(frames) - 1), PAUSE]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return file.getvalue()
