import os

import pytest
import tensorflow as tf

from utils.errors import UserError
from utils.files import join, make_folder, one_line_write_errors, whole_file


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = str(tmp_path / "a.png")
    with whole_file(path) as temporary:
        assert os.path.basename(temporary) == ".tmp-a.png"
        with open(temporary, "w") as file:
            file.write("half")
        assert not os.path.exists(path)
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError):
        _write_and_fail(str(path))
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def _write_and_fail(path: str) -> None:
    with whole_file(path) as temporary, open(temporary, "w") as file:
        file.write("half")
        file.write(str(1 / 0))


def test_a_full_disk_is_one_line():
    with (
        pytest.raises(UserError, match=r"cannot write a\.txt: No space left on device; free some"),
        one_line_write_errors("a.txt"),
        open("/dev/full", "w", buffering=1) as file,
    ):
        file.write("a line\n")


def test_a_folder_that_cannot_be_made_is_one_line():
    with pytest.raises(UserError, match=r"cannot write /proc/nothing/runs"):
        make_folder("/proc/nothing/runs")


def test_folders_behind_urls_work_alike():
    folder = "ram://test_files/runs"
    make_folder(folder)
    path = join(folder, "b.txt")
    for text in ("one", "two"):
        with whole_file(path) as temporary, open(temporary, "w") as file:
            file.write(text)
    with tf.io.gfile.GFile(path) as file:
        assert file.read() == "two"
    assert tf.io.gfile.listdir(folder) == ["b.txt"]
