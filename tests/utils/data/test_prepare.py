"""Preparing data sets: local files, missing and wrong files, and no network."""

import gzip
import hashlib
import struct
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from utils.data import prepare as data_prepare
from utils.data.__main__ import main
from utils.data.prepare import RequiredFile, needed_bytes, prepare, required_files
from utils.data.report import report_missing
from utils.data.streams import load_data
from utils.errors import UserError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


@pytest.fixture
def fashion(tmp_path):
    return tfds.builder("fashion_mnist", data_dir=tmp_path / "data")


@pytest.fixture
def no_network(monkeypatch):
    def unreachable(request, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)


def fill(folder: Path, name: str, size: int) -> Path:
    """Write a sparse file of zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("wb") as file:
        file.truncate(size)
    return folder / name


def test_the_files_of_the_published_sets_are_those_of_tfds_records(tmp_path):
    def files(name):
        return {f.name: f.size for f in required_files(tfds.builder(name, data_dir=tmp_path))}

    assert files("cifar10") == {"cifar-10-binary.tar.gz": 170_052_171}
    assert files("celeb_a")["img_align_celeba.zip"] == 1_443_490_838
    assert set(files("celeb_a")) == {
        "img_align_celeba.zip", "list_eval_partition.txt", "list_attr_celeba.txt",
        "list_landmarks_align_celeba.txt", "identity_CelebA.txt",
    }  # fmt: skip
    assert files("imagenet2012") == {
        "ILSVRC2012_img_train.tar": 147_897_477_120, "ILSVRC2012_img_val.tar": 6_744_924_160
    }  # fmt: skip


def test_a_truncated_file_is_named_with_both_sizes(fashion, tmp_path):
    fill(tmp_path / "files", LABELS, 5000)
    with pytest.raises(UserError, match=f"{LABELS} has 5,000 bytes, expected 5,148: it is trunc"):
        prepare(fashion, str(tmp_path / "files"))


def test_a_file_of_the_right_size_and_other_content_is_named(fashion, tmp_path):
    fill(tmp_path / "files", LABELS, 5148)
    with pytest.raises(UserError, match=f"{LABELS} is damaged: its SHA-256 is .*67da17c7"):
        prepare(fashion, str(tmp_path / "files"))


def test_the_default_manual_folder_is_looked_into(fashion, tmp_path):
    fill(tmp_path / "data" / "downloads" / "manual", LABELS, 1)
    with pytest.raises(UserError, match=f"manual/{LABELS} has 1 bytes"):
        prepare(fashion)


def test_without_a_network_one_line_says_so_at_once(tmp_path, no_network):
    config = {"data_type": "cifar10", "data_dir": str(tmp_path), "data_download": True}
    with pytest.raises(UserError, match=r"toronto\.edu cannot be reached \(no network\)") as error:
        load_data({**config, "image_dims": [32, 32, 3]})
    assert "put cifar-10-binary.tar.gz into DIR" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_set_that_cannot_be_downloaded_asks_for_its_files(tmp_path):
    builder = tfds.builder("imagenet2012", data_dir=tmp_path)
    with pytest.raises(UserError, match="holds none of its files; put ILSVRC2012"):
        prepare(builder)
    with pytest.raises(UserError, match="nowhere not found"):
        prepare(builder, str(tmp_path / "nowhere"))


def test_too_little_space_is_told_before_anything_is_written(fashion, tmp_path, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr(data_prepare, "_check_network", lambda builder, missing: None)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage)
    with pytest.raises(UserError, match=r"needs about 0\.1 GB in .*0\.0 GB are free"):
        prepare(fashion)


def test_space_counts_what_is_downloaded_and_what_is_prepared(fashion):
    everything = required_files(fashion)
    assert needed_bytes(fashion, []) == int(1.25 * sum(file.size for file in everything))
    extra = RequiredFile("more", 7, "", "")
    assert needed_bytes(fashion, [extra]) == needed_bytes(fashion, []) + 7


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    builder = tfds.builder("emoji32", data_dir=tmp_path / "file" / "data")
    with pytest.raises(UserError, match="cannot write data_dir"):
        prepare(builder)


def test_what_a_builder_raises_becomes_one_line(emoji_dir, tmp_path, monkeypatch):
    builder = tfds.builder("emoji32", data_dir=tmp_path)
    monkeypatch.setattr(type(builder), "_generate_examples", lambda *a: 1 / 0)
    with pytest.raises(UserError, match="could not be prepared: ZeroDivisionError") as error:
        prepare(builder)
    assert "\n" not in str(error.value)


def test_a_set_that_another_process_prepared_meanwhile_is_used(emoji_dir, tmp_path, monkeypatch):
    builder = tfds.builder("emoji32", data_dir=tmp_path)
    other = tfds.builder("emoji32", data_dir=tmp_path)

    def prepared_meanwhile(**settings):
        other.download_and_prepare()
        raise OSError("Directory not empty")

    monkeypatch.setattr(builder, "download_and_prepare", prepared_meanwhile)
    prepare(builder)
    assert builder.is_prepared()


@pytest.fixture
def pack(tmp_path, rng, monkeypatch):
    """Return (name of a set like MNIST) -> its builder, a folder of its files, and its pictures.

    The files hold 30 pictures for training, 20 to test, packed in another way than TFDS knows.
    """
    contents = {}
    monkeypatch.setattr(data_prepare, "CONTENTS", contents)
    monkeypatch.setattr("tensorflow_datasets.image_classification.mnist._TRAIN_EXAMPLES", 30)
    monkeypatch.setattr("tensorflow_datasets.image_classification.mnist._TEST_EXAMPLES", 20)

    def packed(name: str):
        builder, folder = tfds.builder(name, data_dir=tmp_path / "data"), tmp_path / name
        folder.mkdir()
        for file in required_files(builder):
            count = 30 if file.name.startswith("train") else 20
            header = 16 if "images" in file.name else 8
            pixels = rng.integers(0, 10, count * (784 if header == 16 else 1), dtype=np.uint8)
            content = bytes(header) + pixels.tobytes()
            contents[file.sha256] = hashlib.sha256(content).hexdigest()
            (folder / file.name).write_bytes(gzip.compress(content, mtime=1))
            if file.name.startswith("train-images"):
                pictures = {picture.tobytes() for picture in pixels.reshape(count, -1)}
        return builder, folder, pictures

    return packed


def test_files_packed_anew_are_taken_for_what_they_hold(pack, capsys):
    """Both sets have files of the same names, and TFDS extracts them to the same names."""
    for name in ("fashion_mnist", "mnist"):
        builder, folder, pictures = pack(name)
        known = dict(type(builder).url_infos)
        prepare(builder, str(folder))
        config = {"data_type": name, "data_dir": str(folder.parent / "data")}
        images = load_data({**config, "image_dims": [28, 28, 1]}).images
        assert {image.tobytes() for image in images} == pictures
        told = [line for line in capsys.readouterr().out.splitlines() if "skipped" in line]
        assert len(told) == 1
        assert all(file.name in told[0] for file in required_files(builder))
        assert type(builder).url_infos == known, "TFDS checks the next files as before"


@pytest.mark.parametrize("damage", ["another picture", "cut short", "no gzip"])
def test_a_file_packed_anew_with_another_content_is_refused(damage, pack):
    builder, folder, _ = pack("fashion_mnist")
    good = (folder / IMAGES).read_bytes()
    wrong = {
        "another picture": gzip.compress(gzip.decompress(good)[:-1] + b"!"),
        "cut short": good[:-1000],
        "no gzip": b"<html>",
    }
    (folder / IMAGES).write_bytes(wrong[damage])
    with pytest.raises(UserError, match=f"{IMAGES} has .* bytes, expected 4,422,102: it is trunc"):
        prepare(builder, str(folder))


def write_config(folder: Path, name: str) -> str:
    config = {
        "data_type": name, "data_dir": str(folder / "data"), "image_dims": [28, 28, 1],
        "data_epsilon": 0.0,
    }  # fmt: skip
    (folder / "config.py").write_text(f"config = {config!r}\n")
    return str(folder / "config.py")


def test_a_manual_dir_that_is_no_folder_is_one_line(tmp_path, fashion):
    path = fill(tmp_path / "files", IMAGES, 1)
    with pytest.raises(UserError, match=f"{IMAGES} is a file: name its folder"):
        prepare(fashion, str(path))
    for read in (prepare, report_missing):  # with --prepare and without
        with pytest.raises(UserError, match="--manual-dir none not found"):
            read(fashion, "none")


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.exists(), reason="apt-get install dataset-fashion-mnist")
def test_fashion_mnist_is_prepared_from_files_without_a_network(tmp_path, no_network, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main([write_config(tmp_path, "fashion_mnist"), "--prepare", "--manual-dir", str(DEBIAN)])
    config = {"data_type": "fashion_mnist", "data_dir": str(tmp_path / "data")}
    for split, count in (("train", 60_000), ("test", 10_000)):
        dataset = load_data({**config, "image_dims": [28, 28, 1]}, split)
        assert dataset.images.shape == (count, 28, 28, 1)
        np.testing.assert_array_equal(np.bincount(dataset.labels), np.full(10, count // 10))
    raw = np.frombuffer(gzip.decompress((DEBIAN / IMAGES).read_bytes()), np.uint8)[16:]
    pictures = {picture.tobytes() for picture in raw.reshape(-1, 28 * 28)}
    assert {picture.tobytes() for picture in dataset.images} == pictures


@pytest.mark.skipif(not DEBIAN.exists(), reason="apt-get install dataset-fashion-mnist")
def test_debians_files_with_the_gzip_headers_of_the_originals_are_those_that_tfds_knows(fashion):
    """So `CONTENTS` holds the originals' contents: Debian strips only the name and the time."""
    times = {"t10k": 1504176627, "trai": 1504176606}
    for file in required_files(fashion):
        stripped = (DEBIAN / file.name).read_bytes()
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", times[file.name[:4]]) + stripped[8:10]
        original = header + file.name.removesuffix(".gz").encode() + b"\0" + stripped[10:]
        assert hashlib.sha256(original).hexdigest() == file.sha256
        assert file.is_packed_anew(str(DEBIAN / file.name))
