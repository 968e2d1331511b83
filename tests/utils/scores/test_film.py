"""Laws of films: one frame per step, in order, in a file of limited size."""

import numpy as np
import pytest
from PIL import Image

from utils.images import tile
from utils.scores import film
from utils.scores.film import CHAINS, STRIP, save_film
from utils.scores.segments import FRAMES, film_steps, recorded_steps, segment_ends, segments

CONFIG = {"film": True, "mcmc_steps": 1000, "segment_steps": 400, "fid_steps": [0, 35]}
CONFIG |= {"num_samples": 10, "batch_size": 4}


@pytest.fixture
def frames(rng) -> dict[int, np.ndarray]:
    """Return noise of 16 small chains by step."""
    shape = (CHAINS, 8, 8, 3)
    return {step: rng.integers(0, 256, shape).astype(np.uint8) for step in (0, 1, 10, 100)}


def test_a_film_shows_each_step_once_and_ends_with_the_last(frames, tmp_path):
    path = str(tmp_path / "film.png")
    save_film(dict(reversed(frames.items())), path)
    with Image.open(path) as shown:
        assert shown.n_frames == len(frames)
        assert shown.info["loop"] == 0
        for number, images in enumerate(frames.values()):
            shown.seek(number)
            pixels = np.asarray(shown.convert("RGB"))[:-STRIP]
            grid = tile(images)
            scale = len(pixels) // len(grid)
            np.testing.assert_array_equal(pixels[::scale, ::scale], grid)


def test_grey_chains_make_a_grey_film(frames, tmp_path):
    save_film({step: images[..., :1] for step, images in frames.items()}, str(tmp_path / "f.png"))
    with Image.open(tmp_path / "f.png") as shown:
        assert (shown.mode, shown.n_frames) == ("L", 4)


@pytest.mark.parametrize("most", [20_000, 10_000, 4_000])
def test_a_film_that_is_too_large_has_fewer_chains_then_fewer_steps(
    frames, tmp_path, monkeypatch, most
):
    monkeypatch.setattr(film, "MOST_BYTES", most)
    save_film(frames, str(tmp_path / "film.png"))
    assert (tmp_path / "film.png").stat().st_size <= most
    with Image.open(tmp_path / "film.png") as shown:
        shown.seek(shown.n_frames - 1)
        last = np.asarray(shown.convert("RGB"))[:-STRIP]
    grids = [tile(frames[100][:count]) for count, _ in film.SHRUNK[1:]]
    steps = [max(1, len(last) // len(grid)) for grid in grids]
    assert any(
        np.array_equal(last[::step, ::step], grid) for step, grid in zip(steps, grids, strict=True)
    )


def test_filmed_steps_are_log_spaced_and_the_last_is_that_of_the_chain():
    steps = film_steps(CONFIG)
    assert len(steps) <= FRAMES + 1
    assert steps[:4] == [0, 1, 2, 3]
    assert steps[-1] == 1000
    ratios = np.diff(np.log(steps[-20:]))
    np.testing.assert_allclose(ratios, np.log(1000) / (FRAMES - 1), rtol=0.1)  # whole numbers
    assert film_steps(CONFIG | {"film": False}) == []


def test_a_film_cuts_the_first_batch_alone():
    plain = segments(CONFIG | {"film": False}, 2)
    filmed = segments(CONFIG, 2)
    assert [s for s in filmed if s.batch] == [s for s in plain if s.batch]
    ends = [s.last for s in filmed if s.batch == 0 and s.checkpoint == 0]
    assert ends == segment_ends(CONFIG, 0)
    assert {*recorded_steps(CONFIG)} | {*film_steps(CONFIG)} == {*ends}
