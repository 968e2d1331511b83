"""Statistics of data: stored under a name that identifies the data, and complete after a kill."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from utils.data.streams import load_data, load_evaluation
from utils.run.array_files import ArrayFiles
from utils.scores.extractors import make_extractor
from utils.scores.reference import data_metadata, data_statistics, reference_path

CONFIG = {
    "data_labels": None,
    "label_attribute": None,
    "image_dims": [32, 32, 3],
    "batch_size": 8,
    "num_samples": 24,
    "reference_samples": None,
    "exp_dir": "runs",
    "gs_path": None,
}


@pytest.fixture(scope="module")
def extractor():
    return make_extractor("random_conv", None)


@pytest.fixture
def npz(tmp_path, rng):
    """Return a function that makes a data set of random pictures, and returns its config."""

    def make(name):
        images = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
        np.savez(tmp_path / name, images=images)
        return {**CONFIG, "data_type": "npz", "data_dir": str(tmp_path / name)}

    return make


def kept_at(config, extractor):
    return reference_path(config, extractor, data_metadata(config, extractor, load_data(config)))


def test_arrays_of_ones_own_are_told_apart_by_what_they_hold(npz, extractor):
    """All have one type, split, size and number, and one `exp_dir`."""
    one, other = npz("one.npz"), npz("other.npz")
    assert kept_at(one, extractor) == kept_at(one, extractor) != kept_at(other, extractor)
    before = kept_at(one, extractor)
    npz("one.npz")
    assert kept_at(one, extractor) != before


def test_a_folder_of_pictures_is_another_data_set_with_one_more(tmp_path, extractor):
    config = {**CONFIG, "data_type": "image_folder", "data_dir": str(tmp_path / "mine")}
    (tmp_path / "mine").mkdir()
    seen = set()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (32, 32)).save(tmp_path / "mine" / name)
        seen.add(kept_at(config, extractor))
    assert len(seen) == 2


def test_statistics_of_many_classes_have_a_name_that_a_disk_takes(npz, extractor):
    config = npz("data.npz")
    metadata = data_metadata(config, extractor, load_data(config))
    classes = [f"n{number:08}" for number in range(100)]
    paths = {
        reference_path({**config, "data_labels": classes[:count]}, extractor, metadata)
        for count in (1, 99, 100)
    }
    assert len(paths) == 3
    assert max(len(path.rpartition("/")[2]) for path in paths) < 200


def test_grey_images_have_statistics_of_their_own(npz, extractor):
    config = npz("data.npz")
    assert kept_at(config, extractor) != kept_at({**config, "image_dims": [32, 32, 1]}, extractor)


def test_features_with_a_gap_are_computed_anew(npz, extractor, tmp_path):
    """As after a kill while they were deleted."""
    config, files = npz("data.npz"), ArrayFiles(str(tmp_path / "features"))
    dataset = load_data(config)
    whole = data_statistics(config, extractor, dataset, 24, files, lambda: None)
    (tmp_path / "features" / "00000008.npy").unlink()
    again = data_statistics(config, extractor, dataset, 24, files, lambda: None)
    assert again.count == 24
    assert np.array_equal(again.mean, whole.mean)
    assert np.array_equal(again.covariance, whole.covariance)


def test_pictures_of_the_same_names_and_sizes_are_told_apart_by_what_they_show(tmp_path, extractor):
    """BMP files of one shape have the same file size."""
    config = {**CONFIG, "data_type": "image_folder", "data_dir": str(tmp_path / "mine")}
    (tmp_path / "mine").mkdir()
    seen = set()
    for grey in (0, 100):
        for number in range(2):
            image = Image.new("RGB", (32, 32), (grey + number,) * 3)
            image.save(tmp_path / "mine" / f"{number}.bmp")
        seen.add(kept_at(config, extractor))
    assert len(seen) == 2


def test_another_version_of_a_prepared_set_is_another_data_set(data_dir, extractor):
    config = {**CONFIG, "data_type": "emoji32", "data_dir": data_dir}
    named = data_metadata(config, extractor, load_data(config))
    assert named["data_set"] == "emoji32/1.0.0"


def test_labels_of_another_attribute_are_another_data_set(npz, extractor):
    config = npz("data.npz")
    dataset = load_data(config)
    kept = {
        reference_path(own, extractor, data_metadata(own, extractor, dataset))
        for attribute in (None, "shape", "texture")
        for own in [{**config, "data_labels": ["cat"], "label_attribute": attribute}]
    }
    assert len(kept) == 3


def test_a_part_of_a_set_that_is_not_in_memory_is_named(data_dir, extractor):
    """Its order is another one, so that other pictures come first."""
    config = {**CONFIG, "data_type": "emoji32", "data_dir": data_dir, "split": "test"}
    whole = load_data(config).num_examples
    for count, is_named in ((24, True), (whole, False)):
        config["num_samples"] = count
        streamed = kept_at({**config, "data_memory": 0}, extractor)
        assert (streamed != kept_at(config, extractor)) == is_named
        assert streamed.endswith("_streamed.npz") == is_named


def test_a_random_crop_changes_no_score(npz):
    """A set that is cropped at random is streamed, in an order of its own."""
    config = npz("data.npz")
    cropped, plain = load_evaluation({**config, "random_crop": True}), load_data(config)
    assert type(cropped) is type(plain)
    assert type(load_data({**config, "random_crop": True})) is not type(plain)
    assert not any(dataclasses.asdict(cropped.augmentation).values())
