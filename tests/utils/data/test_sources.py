"""The user's own pictures: folders and npz files, their labels, and one line for each error."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from utils.data.sources import data_dirs
from utils.data.streams import load_data
from utils.errors import UserError


def config(data_type: str, data_dir, size: int = 12, **others) -> dict:
    return {
        "data_type": data_type, "data_dir": str(data_dir), "image_dims": [size, size, 3], **others
    }  # fmt: skip


@pytest.fixture
def npz(tmp_path, rng):
    """Return a function that writes an npz of 5 pictures of 8 x 8 and returns its path."""

    def write(name: str = "mine.npz", **changes):
        arrays = {"images": rng.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8), **changes}
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


def test_folders_of_a_split_are_its_labels(image_folder):
    dataset = load_data(config("image_folder", image_folder))
    assert dataset.class_names == ("cat", "dog")
    np.testing.assert_array_equal(dataset.labels, np.repeat([0, 1], 6))
    picture = np.asarray(Image.open(image_folder / "train" / "dog" / "3.png"))
    np.testing.assert_array_equal(dataset.images[9], picture[:, 2:14])


def test_a_folder_without_splits_is_the_training_split(image_folder):
    dataset = load_data(config("image_folder", image_folder / "train"))
    assert (dataset.num_examples, dataset.class_names) == (12, ("cat", "dog"))
    with pytest.raises(UserError, match="no folder of the split 'test'"):
        load_data(config("image_folder", image_folder / "train", split="test"))


def test_plain_pictures_have_no_labels(image_folder):
    for folder, split in ((image_folder / "train" / "cat", "train"), (image_folder, "plain")):
        if split == "plain":
            shutil.copytree(image_folder / "train" / "cat", image_folder / "plain")
        dataset = load_data(config("image_folder", folder, split=split))
        assert dataset.num_examples == 6
        assert not dataset.has_labels
        assert dataset.class_names is None


def test_pictures_of_all_shapes_and_kinds_become_colour_squares(tmp_path, rng):
    grey = rng.integers(0, 256, (20, 30)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "1.PNG")
    Image.fromarray(rng.integers(0, 256, (9, 7, 3)).astype(np.uint8)).save(tmp_path / "2.jpg")
    Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(tmp_path / "3.bmp")
    (tmp_path / "notes.txt").write_text("no picture")
    dataset = load_data(config("image_folder", tmp_path, size=8))
    assert dataset.images.shape == (3, 8, 8, 3)
    np.testing.assert_array_equal(dataset.images[0, ..., 0], dataset.images[0, ..., 2])


def test_data_labels_keeps_classes_and_numbers_them_anew(emoji_config, image_folder):
    whole = load_data(emoji_config)
    wanted = ["Flags", "Activities"]
    part = load_data({**emoji_config, "data_labels": wanted})
    assert part.class_names == tuple(wanted)
    for new, name in enumerate(wanted):
        old = whole.class_names.index(name)
        np.testing.assert_array_equal(
            part.images[part.labels == new], whole.images[whole.labels == old]
        )
    folder = load_data(config("image_folder", image_folder, data_labels=["dog"]))
    np.testing.assert_array_equal(folder.indices, np.arange(6, 12))
    np.testing.assert_array_equal(folder.labels, np.zeros(6))


def test_npz_images_come_as_they_are(npz):
    path = npz(labels=np.array([2, 0, 1, 1, 2]), class_names=np.array(["a", "b", "c", "never"]))
    dataset = load_data(config("npz", path, size=8))
    with np.load(path) as arrays:
        np.testing.assert_array_equal(dataset.images, arrays["images"])
        np.testing.assert_array_equal(dataset.labels, arrays["labels"])
    assert dataset.class_names == ("a", "b", "c", "never")


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_npz_images_have_as_many_channels_as_the_config_says(npz, rng, channels):
    for shape in ((5, 8, 8), (5, 8, 8, 1)):
        grey = rng.integers(0, 256, shape).astype(np.uint8)
        settings = {**config("npz", npz(images=grey)), "image_dims": [8, 8, channels]}
        images = load_data(settings).images
        assert images.shape == (5, 8, 8, channels)
        np.testing.assert_array_equal(images, grey.reshape(5, 8, 8, 1).repeat(channels, axis=-1))


def test_a_folder_of_npz_files_has_splits(npz):
    train, test = npz("train.npz"), npz("test.npz")
    for path in (train, test):
        dataset = load_data(config("npz", path.parent, size=8, split=path.stem))
        with np.load(path) as arrays:
            np.testing.assert_array_equal(dataset.images, arrays["images"])
    with pytest.raises(UserError, match=r"validation\.npz not found"):
        load_data(config("npz", train.parent, split="validation"))
    with pytest.raises(UserError, match="is the split 'train'"):
        load_data(config("npz", train, split="test"))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"images": np.zeros((5, 8, 8, 3), np.float32)}, "must be uint8"),
        ({"images": np.zeros((5, 8, 8, 4), np.uint8)}, r"not uint8 of shape \(5, 8, 8, 4\)"),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8)}, "no pictures: choose"),
        ({"images": np.zeros((5, 0, 8, 3), np.uint8)}, r"not uint8 of shape \(5, 0, 8, 3\)"),
        ({"images": np.zeros((8, 8, 3), np.uint8)}, r"one as images\[None\]"),
        ({"labels": np.zeros(4, np.int64)}, "must be 5 whole numbers"),
        ({"labels": np.zeros(5)}, "not float64"),
        ({"labels": np.array([0, 1, 2, 3, -1])}, "be 0 or more, not -1"),
        ({"labels": np.full(5, 2**63, np.uint64)}, "be 0 or more, not 9223372036854775808"),
        (
            {"labels": np.arange(5), "class_names": np.array(["one"])},
            "5 classes in 'labels', but 1",
        ),
        (
            {"labels": np.arange(5) + 10**9},
            r"up to 1,000,000,004 for 5 images: number classes from",
        ),
        ({"labels": np.arange(5) + 10**9, "class_names": np.array(["a"])}, "1,000,000,005 classes"),
        ({"labels": np.arange(5) % 2, "class_names": np.array(["a", "a"])}, "'a' occurs twice"),
        ({"labels": np.arange(5) % 2, "class_names": np.eye(2)}, "must be a list of names"),
        ({"labels": np.zeros(5, int), "class_names": np.array([b"\xe9"])}, "is not UTF-8"),
        ({"labels": np.zeros(5, int), "class_names": np.array(["a"], object)}, "Python objects"),
        ({"images": np.array([{}], object)}, "it holds Python objects, not numbers or text"),
    ],
)
def test_malformed_npz_files_are_refused_in_one_line(npz, changes, line):
    with pytest.raises(UserError, match=line) as error:
        load_data(config("npz", npz(**changes), size=8))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint64", "int64"])
def test_labels_of_any_whole_number_type_are_taken(npz, dtype):
    path = npz(labels=np.array([2, 0, 1, 1, 2], dtype))
    assert load_data(config("npz", path, size=8)).labels.tolist() == [2, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [(np.array([b"cat", "été".encode()]), ("cat", "été")), (np.array("cat"), ("cat",))],
)
def test_names_of_bytes_are_text_and_a_single_one_is_one_class(npz, names, wanted):
    path = npz(labels=np.arange(5) % names.size, class_names=names)
    assert load_data(config("npz", path, size=8)).class_names == wanted


def test_classes_without_pictures_are_told(npz, capsys):
    load_data(config("npz", npz(labels=np.array([1, 2, 1, 2, 2])), size=8))
    assert "no pictures of 1 of 3 classes: 0" in capsys.readouterr().err
    path = npz(labels=np.zeros(5, int), class_names=np.array(["a", "b"]))
    assert load_data(config("npz", path, size=8, data_labels=["a"])).num_examples == 5
    assert "no pictures of 1 of 2 classes: b" in capsys.readouterr().err


def test_damaged_and_empty_files_are_named(tmp_path):
    np.savez(tmp_path / "train.npz", images=np.zeros((5, 8, 8, 3), np.uint8))
    whole = (tmp_path / "train.npz").read_bytes()
    place = whole.index(b"PK\x01\x02") + 10  # of the compression, in the archive's directory
    unknown = whole[:place] + b"\x63" + whole[place + 1 :]
    for content in (whole[:400], whole[:10], unknown):
        (tmp_path / "train.npz").write_bytes(content)
        with pytest.raises(UserError, match=r"train\.npz cannot be read: .* cut short or damaged"):
            load_data(config("npz", tmp_path))
    (tmp_path / "train.npz").write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(UserError, match=r"train\.npz is no npz"):
        load_data(config("npz", tmp_path))
    np.save(tmp_path / "images.npy", np.zeros((5, 8, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r"images\.npy is a single array"):
        load_data(config("npz", tmp_path / "images.npy"))
    np.savez(tmp_path / "other.npz", pictures=np.zeros(3))
    with pytest.raises(UserError, match="no array 'images', only pictures"):
        load_data(config("npz", tmp_path / "other.npz"))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data_dir": None}, "needs data_dir"),
        ({"data_dir": "nowhere"}, "nowhere not found"),
        ({"data_labels": ["kat"]}, r"no class 'kat' \(did you mean 'cat'\?\)"),
        ({"data_labels": ["cat", "cat"]}, "data_labels: 'cat' occurs twice"),
    ],
)
def test_folder_errors_are_one_line(image_folder, changes, line):
    with pytest.raises(UserError, match=line) as error:
        load_data({**config("image_folder", image_folder), **changes})
    assert "\n" not in str(error.value)


def test_a_folder_without_pictures_or_with_mixed_ones_is_refused(image_folder):
    (image_folder / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        load_data(config("image_folder", image_folder / "empty"))
    shutil.copy(image_folder / "train" / "cat" / "0.png", image_folder / "train" / "0.png")
    with pytest.raises(UserError, match="beside and inside the folders cat, dog"):
        load_data(config("image_folder", image_folder))


def test_data_are_looked_for_where_one_starts_then_in_the_repository(
    repository, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    places = data_dirs({"data_type": "cifar10", "data_dir": "cifar10_tfds"})
    assert places == [str(tmp_path / "cifar10_tfds"), str(repository / "cifar10_tfds")]
    assert data_dirs({"data_type": "cifar10"}) == places


def test_celebas_folder_is_looked_for_in_both_spellings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = data_dirs({"data_type": "celeb_a", "data_dir": "celeb-a_tfds"})
    other = data_dirs({"data_type": "celeb_a", "data_dir": "celeb_a_tfds"})
    assert [p.removeprefix(f"{tmp_path}/") for p in one[:2]] == ["celeb-a_tfds", "celeb_a_tfds"]
    assert set(one) == set(other)


def test_a_bucket_that_cannot_be_reached_is_one_line(monkeypatch):
    def unreachable(path):
        raise tf.errors.FailedPreconditionError(None, None, "no network\nwhen reading metadata")

    monkeypatch.setattr(tf.io.gfile, "exists", unreachable)
    with pytest.raises(UserError, match=r"cannot look into gs://mine/celeb_a: no network$"):
        load_data({"data_type": "celeb_a", "gs_path": "mine", "image_dims": [64, 64, 3]})


def test_with_a_bucket_data_are_read_from_it_and_the_embedded_set_is_not():
    places = data_dirs({"data_type": "celeb_a", "data_dir": "celeb_a_tfds", "gs_path": "mine"})
    assert places == ["gs://mine", "gs://mine/celeb_a_tfds", "gs://mine/celeb-a_tfds"]
    for own in ("image_folder", "npz"):  # the root of a bucket holds other things, too
        asked = {"data_type": own, "data_dir": "pictures", "gs_path": "mine"}
        assert data_dirs(asked) == ["gs://mine/pictures"]
    embedded = data_dirs({"data_type": "emoji32", "gs_path": "mine"})
    assert not any(place.startswith("gs://") for place in embedded)
