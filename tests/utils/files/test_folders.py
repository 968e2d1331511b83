"""Listings of folders: what is hidden is nothing, what cannot be opened is told apart."""

import os

import pytest

from utils.data.tfds import _versions
from utils.errors import UserError
from utils.files.folders import list_folder
from utils.run.array_files import ArrayFiles
from utils.run.states import STATE_FILE, list_states

HIDDEN = (".DS_Store", "._a.png", ".tmp-b.npy", ".ipynb_checkpoints")


@pytest.fixture
def folder(tmp_path):
    """Return a folder in which macOS, a notebook and another system left something."""
    for name in ("b.png", "a.png", *HIDDEN[:-1]):
        (tmp_path / name).write_bytes(b"")
    for name in ("dog", "cat.png", "lost+found", HIDDEN[-1]):
        (tmp_path / name).mkdir()
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "there.png").symlink_to("a.png")
    os.mkfifo(tmp_path / "pipe.png")
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb"):
        pass
    return tmp_path


def test_hidden_names_are_nothing_and_files_are_no_folders(folder):
    listed = list_folder(str(folder))
    assert listed.files == ["a.png", "b.png", "there.png"]
    assert listed.folders == ["cat.png", "dog"]


def test_broken_links_pipes_and_names_that_are_not_utf8_are_told_apart(folder):
    assert list_folder(str(folder)).unreadable == [r"caf\xe9.png", "gone.png", "pipe.png"]


def test_urls_are_listed_as_local_folders_are(folder):
    for name in ("gone.png", "pipe.png", os.fsdecode(b"caf\xe9.png")):
        os.remove(folder / name)
    assert list_folder(f"file://{folder}") == list_folder(str(folder))


@pytest.mark.parametrize("name", ["a.png", "none"])
def test_what_is_no_folder_is_refused_in_one_line(folder, name):
    with pytest.raises(UserError, match=f"folder .*{name} cannot be read: N") as error:
        list_folder(str(folder / name))
    assert "\n" not in str(error.value)


def test_what_others_leave_behind_is_no_state_no_array_and_no_version(folder):
    for name in ("7", "²", ".8"):
        (folder / name).mkdir()
        (folder / name / STATE_FILE).write_text("{}")
    for name in ("00000003.npy", "notes.npy", "00000004.npy.bak"):
        (folder / name).write_bytes(b"")
    for name in ("1.0.0", ".1.0.0"):
        (folder / name).mkdir()
        (folder / name / "dataset_info.json").write_text("{}")
    assert list_states(str(folder)) == [7]
    assert ArrayFiles(str(folder)).numbers() == [3]
    assert _versions(str(folder)) == {(1, 0, 0): f"{folder}/1.0.0"}
