"""Laws of the training pictures nearest to samples; they do not depend on the batches."""

import numpy as np
import pytest
from PIL import Image

from utils.scores.nearest import NEAREST, describe, find_nearest, message, save_nearest

SHAPE = (4, 4, 1)


@pytest.fixture
def data(rng) -> np.ndarray:
    """Return 50 training pictures."""
    return rng.uniform(-1, 1, (50, *SHAPE)).astype(np.float32)


def features(images: np.ndarray) -> np.ndarray:
    """Return features whose nearest pictures are not those in pixels."""
    return np.square(images).sum(axis=(2, 3))


def batches(data: np.ndarray, size: int):
    parts = np.split(data, range(size, len(data), size))
    return [(features(part), part) for part in parts]


@pytest.mark.parametrize("size", [1, 7, 50])
def test_the_nearest_are_found_in_batches_of_every_size(data, rng, size):
    queries = rng.uniform(-1, 1, (6, *SHAPE)).astype(np.float32)
    found = find_nearest(features(queries), queries, batches(data, size))
    rows = {"features": (features(queries), features(data)),
            "pixels": (queries.reshape(6, -1), data.reshape(50, -1))}  # fmt: skip
    for space, (own, others) in rows.items():
        plain = np.linalg.norm(own[:, np.newaxis].astype(float) - others, axis=2)
        order = np.argsort(plain, axis=1)[:, :NEAREST]
        np.testing.assert_array_equal(found[space].images, data[order])
        np.testing.assert_allclose(
            found[space].distances, np.take_along_axis(plain, order, 1), rtol=1e-6
        )  # float64 of float32 pictures
        assert found[space].seen == 50


def test_a_copy_is_found_out_and_what_was_not_learned_is_farther(data, rng):
    """Copies have distance 0, held-out pictures do not: the medians show copies."""
    others = rng.uniform(-1, 1, (5, *SHAPE)).astype(np.float32)
    copies = data[[3, 30, 9]] * 1.0
    copies[0, 0, 0, 0] = 0.5  # almost
    queries = np.concatenate([copies, others])
    found = find_nearest(features(queries), queries, batches(data, 16))
    np.testing.assert_array_equal(found["pixels"].images[:3, 0], data[[3, 30, 9]])
    told = describe(found, num_samples=3)
    assert told["among"] == 50
    assert told["samples"]["pixels"] < 1e-6
    assert told["held_out"]["pixels"] > 1
    assert message(told).startswith("nearest of 50 training pictures, median of 3: features ")
    assert "held-out data" in message(told)


def test_samples_without_held_out_pictures_stand_alone(data):
    told = describe(find_nearest(features(data[:4]), data[:4], batches(data, 8)), num_samples=4)
    assert told["held_out"] is None
    assert "held-out" not in message(told)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_figure_is_drawn_of_few_pictures_too(data, tmp_path, channels):
    images = np.repeat(data[:2], channels, axis=-1)
    found = find_nearest(features(images), images, batches(images, 8))
    save_nearest(images, found, "classifier", str(tmp_path / "nearest.png"))
    with Image.open(tmp_path / "nearest.png") as figure:
        assert figure.width > 100
