"""Laws of fingerprints: contents decide, wherever the files lie, and kept hashes change nothing."""

import json
import os
from pathlib import Path

import pytest
import tensorflow as tf

from utils.files import fingerprints
from utils.files.fingerprints import difference, hash_files


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Return the paths of three small files, old enough for their hashes to be kept."""
    (tmp_path / "set").mkdir()
    return [_write(tmp_path / "set" / name, name.encode()) for name in ("a", "b", "c")]


def _write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


@pytest.fixture
def settled(monkeypatch):
    """Let files count as settled at once, so that their hashes are kept."""
    monkeypatch.setattr(fingerprints, "SETTLED_NS", -(10**12))


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """Return the list that the paths of files hashed anew are added to."""
    seen, hash_one = [], fingerprints._hash
    monkeypatch.setattr(
        fingerprints, "_hash", lambda path, bar: seen.append(path) or hash_one(path, bar)
    )
    return seen


def record(files: list[str], keep: bool = False) -> dict:
    folder = Path(files[0]).parent
    return hash_files(str(folder), files, str(folder.parent / "reference"), keep=keep)


@pytest.mark.usefixtures("settled")
def test_an_untouched_file_is_hashed_once(files, hashed):
    first = record(files, keep=True)
    assert sorted(hashed) == files
    hashed.clear()
    assert record(files) == first
    assert not hashed


@pytest.mark.usefixtures("settled")
def test_other_contents_of_the_same_name_size_and_time_are_seen(files):
    """As `cp -p` or rsync leave them: only the time of change of the inode tells."""
    first = record(files, keep=True)
    before = os.stat(files[1])
    Path(files[1]).write_bytes(b"x")
    os.utime(files[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    now = record(files)
    assert difference(first, now).startswith("contents ")
    assert now["names"] == first["names"]


def test_a_file_just_written_is_not_taken_for_settled(files, hashed):
    """It may change again within the clock tick of its file system."""
    record(files, keep=True)
    hashed.clear()
    record(files)
    assert sorted(hashed) == files


def test_names_and_order_count_and_the_place_does_not(files, tmp_path):
    first = record(files)
    os.rename(tmp_path / "set", tmp_path / "moved")
    moved = [file.replace("/set/", "/moved/") for file in files]
    assert record(moved) == first
    assert difference(first, record(moved[:2])) == "files 2, then 3"
    os.rename(moved[2], tmp_path / "moved" / "d")
    renamed = [*moved[:2], str(tmp_path / "moved" / "d")]
    assert difference(first, record(renamed)).startswith("names ")


def test_a_link_to_nothing_counts_as_unreadable_and_stops_nobody(files):
    first = record(files)
    os.remove(files[1])
    os.symlink("/nowhere/gone", files[1])
    gone = record(files)
    assert difference(first, gone).startswith("contents ")
    assert gone == record(files)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1}', b"\xff"])
def test_a_damaged_table_is_made_anew(files, tmp_path, content):
    first = record(files, keep=True)
    (table,) = (tmp_path / "reference").iterdir()
    whole = json.loads(table.read_text())
    table.write_bytes(content)
    assert record(files, keep=True) == first
    assert json.loads(table.read_text()) == whole


def test_who_only_looks_writes_nothing(files, tmp_path):
    record(files)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_table_that_cannot_be_written_stops_nobody(files):
    root = str(Path(files[0]).parent)
    assert hash_files(root, files, "/proc/nothing", keep=True) == record(files)


def test_files_behind_a_url_have_the_record_of_those_on_a_disk(files):
    for path in files:
        tf.io.gfile.copy(path, f"ram://fingerprints/{path[-1]}", overwrite=True)
    urls = [f"ram://fingerprints/{path[-1]}" for path in files]
    assert hash_files("ram://fingerprints", urls, "ram://kept") == record(files)
