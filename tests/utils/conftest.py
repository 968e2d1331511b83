"""Data sets that the tests of `utils` share: small, and prepared as real ones are."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.testing.mocking import RandomFakeGenerator

import utils.data.emoji32  # noqa: F401
from utils.data.prepare import prepare


@pytest.fixture(scope="session")
def emoji_dir(tmp_path_factory) -> str:
    """Return a folder with emoji32 prepared in it."""
    folder = tmp_path_factory.mktemp("emoji32_tfds")
    prepare(tfds.builder("emoji32", data_dir=folder))
    return str(folder)


@pytest.fixture
def emoji_config(emoji_dir) -> dict:
    """Return the data keys of a config for emoji32."""
    return {"data_type": "emoji32", "data_dir": emoji_dir, "image_dims": [32, 32, 3], "seed": 0}


@pytest.fixture(scope="session")
def write_prepared():
    """Return a function that prepares a folder of a real TFDS data set with made-up examples."""

    def write(name: str, folder: Path, count: int, split: str = "train", files: int = 2) -> Path:
        builder = tfds.builder(name, data_dir=folder)
        builder.data_path.mkdir(parents=True)
        writer = tfds.core.SequentialWriter(builder.info, -(-count // files))
        writer.initialize_splits([split])
        examples = RandomFakeGenerator(builder.info.features, num_examples=count)
        writer.add_examples({split: list(examples)})
        writer.close_all()
        return Path(builder.data_path)

    return write


@pytest.fixture
def image_folder(tmp_path, rng) -> Path:
    """Return a folder of 2 labels with 6 PNG pictures of 12 x 16 each, all different."""
    for number, label in enumerate(["cat", "dog"]):
        (tmp_path / "train" / label).mkdir(parents=True)
        for picture in range(6):
            pixels = rng.integers(0, 255, (12, 16, 3)).astype(np.uint8)
            pixels[0, 2] = 6 * number + picture  # inside the central square: marks the picture
            Image.fromarray(pixels).save(tmp_path / "train" / label / f"{picture}.png")
    return tmp_path


@pytest.fixture(params=["in memory", "streamed"])
def config(request, image_folder) -> dict:
    """Return the config of 12 different pictures, kept in memory or decoded when read."""
    memory = {"in memory": 100, "streamed": 0}[request.param]
    return {
        "data_type": "image_folder", "data_dir": str(image_folder), "image_dims": [12, 12, 3],
        "data_memory": memory,
    }  # fmt: skip
