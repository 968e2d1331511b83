"""Preparing data sets: files put there by hand, what is missing or wrong, and no network."""

import gzip
import struct
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from utils import data_prepare
from utils.data import load_data, main
from utils.data_prepare import RequiredFile, needed_bytes, prepare, required_files
from utils.data_report import report_missing
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
    """Write a file of zeros that takes no space."""
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


def write_config(folder: Path, name: str) -> str:
    config = {
        "data_type": name, "data_dir": str(folder / "data"), "image_dims": [28, 28, 3],
        "data_epsilon": 0.0,
    }  # fmt: skip
    (folder / "config.py").write_text(f"config = {config!r}\n")
    return str(folder / "config.py")


def test_a_manual_dir_that_is_no_folder_is_one_line(tmp_path, fashion):
    path = fill(tmp_path / "files", IMAGES, 1)
    with pytest.raises(UserError, match=f"{IMAGES} is a file: name the folder that it lies in"):
        prepare(fashion, str(path))
    for read in (prepare, report_missing):  # with --prepare and without
        with pytest.raises(UserError, match="--manual-dir none not found"):
            read(fashion, "none")


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.exists(), reason="apt-get install dataset-fashion-mnist")
def test_fashion_mnist_is_prepared_from_files_without_a_network(tmp_path, no_network, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):  # Debian strips the gzip headers: other sizes, so refused
        main([write_config(tmp_path, "fashion_mnist"), "--prepare", "--manual-dir", str(DEBIAN)])
    restore_originals(tmp_path / "files")
    main([write_config(tmp_path, "fashion_mnist"), "--prepare",
          "--manual-dir", str(tmp_path / "files")])  # fmt: skip
    config = {"data_type": "fashion_mnist", "data_dir": str(tmp_path / "data")}
    for split, count in (("train", 60_000), ("test", 10_000)):
        dataset = load_data({**config, "image_dims": [28, 28, 3]}, split)
        assert dataset.images.shape == (count, 28, 28, 3)
        np.testing.assert_array_equal(np.bincount(dataset.labels), np.full(10, count // 10))
    raw = np.frombuffer(gzip.decompress((DEBIAN / IMAGES).read_bytes()), np.uint8)[16:]
    pictures = {picture.tobytes() for picture in raw.reshape(-1, 28 * 28)}
    assert {picture[..., 0].tobytes() for picture in dataset.images} == pictures


def restore_originals(folder: Path) -> None:
    """Give Debian's files the gzip headers, name and time, of the files that TFDS knows."""
    times = {"t10k": 1504176627, "trai": 1504176606}
    folder.mkdir()
    for path in DEBIAN.glob("*.gz"):
        stripped = path.read_bytes()
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", times[path.name[:4]]) + stripped[8:10]
        (folder / path.name).write_bytes(header + path.stem.encode() + b"\0" + stripped[10:])
