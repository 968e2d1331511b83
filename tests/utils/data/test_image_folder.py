"""Folders of pictures: their splits, their labels, and the files that are skipped or refused."""

import shutil

import pytest
from PIL import Image

from fid_orig.original_fid import image_files
from utils.data.streams import load_data
from utils.errors import UserError


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)


@pytest.fixture
def pets(tmp_path):
    """Return a folder of two labels with two pictures each."""
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.webp"):
        picture(tmp_path / "pets" / name)
    return tmp_path / "pets"


def open_pictures(folder, wanted="train", **others):
    config = {"data_type": "image_folder", "data_dir": str(folder), "image_dims": [8, 8, 3]}
    return load_data({**config, **others}, wanted)


def test_hidden_files_and_folders_are_no_pictures(pets, capsys):
    picture(pets / ".ipynb_checkpoints" / "0-checkpoint.png")
    (pets / "cat" / "._0.png").write_bytes(b"\x00\x05\x16\x07")
    (pets / "dog" / ".ipynb_checkpoints").mkdir()
    (pets / ".DS_Store").write_bytes(b"")
    dataset = open_pictures(pets)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 0, 1, 1]
    picture(pets / "cat" / ".ipynb_checkpoints" / "0-checkpoint.png")
    assert open_pictures(pets / "cat").num_examples == 2
    assert capsys.readouterr().err == ""


def test_what_is_passed_over_is_counted_in_one_line(pets, capsys):
    for name in ("more/0.png", "more/1.png"):
        picture(pets / "dog" / name)
    (pets / "bird").mkdir()
    (pets / "export.png").mkdir()  # a folder with the name of a picture
    (pets / "notes.txt").write_text("")
    (pets / "cat" / "0.txt").write_text("")
    (pets / "cat" / "2.png").symlink_to("nowhere.png")
    assert open_pictures(pets).num_examples == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"warning: {pets}: skipped: files that are no pictures: 2 (.txt); broken links, pipes, "
        "names not in UTF-8: 1 (2.png); pictures one folder too deep: 2 (dog/more); folders "
        "without pictures: 2 (bird, export.png)"
    )


def test_the_original_fid_reads_the_same_files(pets, capsys):
    (pets / "dog" / "._0.png").write_bytes(b"")
    (pets / "dog" / "2.png").symlink_to("nowhere.png")
    folder = str(pets / "dog")
    assert image_files(folder) == [f"{folder}/0.png", f"{folder}/1.webp"]
    assert "broken links, pipes, names not in UTF-8: 1 (2.png)" in capsys.readouterr().err


def test_labels_beside_splits_are_refused_with_what_to_do(pets):
    shutil.copytree(pets, pets / "test")
    with pytest.raises(UserError, match=r"\(cat, dog\) beside folders of splits \(test\): move.*"
                       "/pets/train/cat"):  # fmt: skip
        open_pictures(pets)
    (pets / "dog").rename(pets / "test" / "fox")
    (pets / "cat").rename(pets / "extra")
    for others in ({"split": "extra"}, {"heldout_split": "extra"}):
        with pytest.raises(UserError, match="no folder of the split 'train'; it has extra, test"):
            open_pictures(pets, **others)
    assert open_pictures(pets, "extra").num_examples == 2
    assert open_pictures(pets, "test", split="extra").class_names == ("cat", "dog", "fox")


@pytest.mark.parametrize(
    ("folder", "split", "line"),
    [
        ("pets", "test", "no folder of the split 'test'"),
        ("pets/cat/0.png", "train", "0.png is a file: name the folder of pictures"),
        (".", "train", r"no pictures \(.*\) in it; some are one level deeper, in .*/pets/cat"),
        ("sets/train", "test", "folder above has it: set data_dir to .*/sets$"),
    ],
)
def test_a_wrong_folder_is_one_line_that_names_the_right_one(pets, folder, split, line):
    picture(pets.parent / "sets" / "train" / "0.png")
    picture(pets.parent / "sets" / "test" / "0.png")
    with pytest.raises(UserError, match=line) as error:
        open_pictures(pets.parent / folder, split)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("names", [("Train", "Test"), ("trainA", "testA"), ("training", "valid")])
def test_folders_that_look_like_splits_are_no_labels(tmp_path, names):
    """Otherwise test pictures would be learned, as a class."""
    for name in names:
        picture(tmp_path / name / "0.png")
    with pytest.raises(UserError, match=r"no folder of the split 'train'.*; it has "):
        open_pictures(tmp_path)
    assert open_pictures(tmp_path, names[0]).num_examples == 1


def test_labels_may_begin_like_splits(tmp_path):
    for name in ("trainer", "testudo", "valley"):
        picture(tmp_path / name / "0.png")
    assert open_pictures(tmp_path).class_names == ("testudo", "trainer", "valley")


@pytest.mark.parametrize(("brightest", "warns"), [(1, True), (15, True), (200, False), (0, False)])
def test_pictures_of_few_levels_are_warned_of(tmp_path, capsys, brightest, warns):
    Image.new("L", (8, 8), brightest).save(tmp_path / "0.png")
    open_pictures(tmp_path)
    line = f"the brightest value of the first pictures is {brightest} of 255: scale them"
    assert (line in capsys.readouterr().err) == warns
