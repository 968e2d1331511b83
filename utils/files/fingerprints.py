"""SHA-256 of files; a file is hashed again only after it has changed.

A table per set of files keeps the hashes, in the folder of data statistics. A file counts as
unchanged if its size, its times of change and, on a local disk, its inode are the same.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath
from typing import Any

import tensorflow as tf
from tqdm import tqdm

from utils.errors import UserError, first_line
from utils.files.whole import join, make_folder, whole_file

BLOCK = 1 << 24  # bytes read at once
CHUNK = 1024  # files given to the threads at once
THREADS = 8  # for files behind URLs and on slow disks, where opening a file takes longest
SETTLED_NS = 2 * 10**9  # a file changed within this time may change again at the same time stamp
SHA256_HEX = 64  # characters of a SHA-256
UNREADABLE = "unreadable"  # in place of the hash of a missing or protected file
NOT_READABLE = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError),
    *(tf.errors.NotFoundError, tf.errors.PermissionDeniedError),
)

Row = list  # size, times of change in nanoseconds, inode, then the hash


def hash_files(root: str, paths: Sequence[str], kept: str, *, keep: bool = False) -> dict[str, Any]:
    """Return the number of files below `root`, one hash of their names and one of their contents.

    The order of `paths` matters, the location of `root` does not. Hashes in the folder `kept` are
    used; with `keep`, new ones are written there, if possible. A missing or protected file counts
    as `UNREADABLE`. Raises UserError where reading fails otherwise.
    """
    table_path, now = join(kept, _table_name(root)), time.time_ns()
    table = _read_table(table_path)
    stats = {path: _stat(path) for path in paths}
    known = {p: table[p][-1] for p, stat in stats.items() if table.get(p, [])[:-1] == stat}
    hashed = _hash_all(root, {path: stats[path][0] for path in paths if path not in known})
    known |= hashed
    if keep and hashed:
        rows = {p: [*s, known[p]] for p, s in stats.items() if max(s[1:-1]) < now - SETTLED_NS}
        with contextlib.suppress(UserError):  # the table only saves time
            make_folder(kept)
            with whole_file(table_path) as temporary, open(temporary, "w") as file:
                json.dump(rows, file)
    names = [path.removeprefix(root).lstrip("/") for path in paths]
    return {
        "files": len(names),
        "names": _sha256("\0".join(names)),
        "contents": _sha256("".join(known[path] for path in paths)),
    }


def digest(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record."""
    return _sha256(json.dumps(record))


def difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return the first difference of two records in words, None if they are equal."""
    for name, value in then.items():
        if now.get(name) != value:
            return f"{name} {_short(now.get(name))}, then {_short(value)}"
    return None


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == SHA256_HEX else text


def _stat(path: str) -> list[int]:
    """Return size, times of change and inode of a file; zeros if it is missing."""
    try:
        if "://" in path:
            found = tf.io.gfile.stat(path)
            return [found.length, found.mtime_nsec, 0]
        found = os.stat(path)
        return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    except NOT_READABLE:
        return [0, 0, 0]


def _hash_all(root: str, sizes: Mapping[str, int]) -> dict[str, str]:
    """Return the hashes of files by path; `sizes` gives their bytes by path."""
    paths, found = list(sizes), {}
    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(
            desc=f"hashing {root}",
            total=sum(sizes.values()),
            unit="B",
            unit_scale=True,
            delay=2,
            disable=None,
        ) as bar,
    ):
        for first in range(0, len(paths), CHUNK):
            part = paths[first : first + CHUNK]
            found.update(zip(part, pool.map(lambda path: _hash(path, bar), part), strict=True))
    return found


def _hash(path: str, bar: tqdm) -> str:
    try:
        # Python's files: TensorFlow's take several times as long for many small files.
        with tf.io.gfile.GFile(path, "rb") if "://" in path else open(path, "rb", 0) as file:
            return sha256_of(file, bar.update)
    except NOT_READABLE:
        return UNREADABLE
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}") from error


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _table_name(root: str) -> str:
    """Return the file name of the table for `root`."""
    return f"{PurePath(root).name}-{_sha256(root)[:12]}.json"


def _read_table(path: str) -> dict[str, Row]:
    """Return the kept rows by path; none if the table is missing or damaged."""
    try:
        with tf.io.gfile.GFile(path) as file:
            table = json.load(file)
        return {name: row for name, row in table.items() if isinstance(row, list)}
    except (ValueError, AttributeError, tf.errors.OpError):
        return {}


def fingerprint(path: str) -> dict[str, Any]:
    """Return the size in bytes and the SHA-256 of a file."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return {"bytes": file.size(), "sha256": sha256_of(file)}


def sha256_of(file: Any, read: Callable[[int], object] = lambda size: None) -> str:
    """Return the SHA-256 of an open file; `read` is called with the size of each block."""
    content = hashlib.sha256()
    while block := file.read(BLOCK):
        content.update(block)
        read(len(block))
    return content.hexdigest()
