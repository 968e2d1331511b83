import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from utils.errors import UserError
from utils.files.whole import (
    join,
    make_folder,
    one_line_write_errors,
    read_json,
    require_writable,
    reserve,
    whole_file,
    write_json,
)


def test_json_is_strict_and_written_whole(tmp_path):
    """Browsers and other languages refuse NaN and Inf."""
    path = str(tmp_path / "report.json")
    write_json(path, {"bits": [1.5, math.nan], 500: {"error": np.float64(math.inf)}, "steps": (1,)})
    known = {"bits": [1.5, None], "500": {"error": None}, "steps": [1]}
    assert json.loads(Path(path).read_text(), parse_constant=pytest.fail) == known
    with pytest.raises(TypeError):
        write_json(path, {"steps": object()})
    assert json.loads(Path(path).read_text()) == known


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = str(tmp_path / "a.png")
    with whole_file(path) as temporary:
        assert re.fullmatch(r"\.tmp-[0-9a-f]{8}-a\.png", os.path.basename(temporary))
        with open(temporary, "w") as file:
            file.write("half")
        assert not os.path.exists(path)
    assert os.listdir(tmp_path) == ["a.png"]


def test_two_writers_of_one_path_both_succeed(tmp_path):
    path = str(tmp_path / "a.txt")
    with whole_file(path) as one, whole_file(path) as two:
        for temporary in (one, two):
            Path(temporary).write_text(temporary)
    assert Path(path).read_text() == one  # whose block ended last
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("allocates", [True, False], ids=["Linux", "macOS"])
def test_room_is_reserved_or_refused(tmp_path, monkeypatch, allocates):
    if not allocates:
        monkeypatch.delattr(os, "posix_fallocate")
    reserve(str(tmp_path / "small"), 1000)
    with pytest.raises(OSError, match=r"\[Errno (27|28)\]"):
        reserve(str(tmp_path / "large"), 2**62)


def test_a_folder_in_which_nothing_can_be_written_is_refused_before(tmp_path):
    require_writable(str(tmp_path / "new" / "runs"), "exp_dir")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"'exp_dir' .*: cannot write to .*file: Not a dir"):
        require_writable(str(tmp_path / "file" / "runs"), "exp_dir")


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


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    longest = tmp_path / f"{'é' * 125}.json"  # 255 bytes
    write_json(str(longest), {})
    assert os.listdir(tmp_path) == [longest.name]
    with pytest.raises(UserError, match="File name too long; choose another name"):
        write_json(f"{longest}s", {})


def test_a_full_disk_is_one_line():
    with (
        pytest.raises(UserError, match=r"cannot write a\.txt: No space left on device; free some"),
        one_line_write_errors("a.txt"),
        open("/dev/full", "w", buffering=1) as file,
    ):
        file.write("a line\n")


@pytest.mark.parametrize("content", ['{"scores": [', "[1]"])
def test_a_damaged_json_file_is_one_line(tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(UserError, match=r"report.json is damaged: .*; copy the run folder again"):
        read_json(str(tmp_path / "report.json"))


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
