"""Listings of folders."""

import os
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from utils.errors import UserError, first_line
from utils.files.whole import join

LOST = "lost+found"


class Listing(NamedTuple):
    """The visible names of a folder, sorted; names that are not UTF-8 are escaped."""

    files: list[str]
    folders: list[str]
    unreadable: list[str]  # broken links, pipes and the like, names that TensorFlow cannot open


def list_folder(path: str) -> Listing:
    """Return the contents of a folder, without hidden names such as `.DS_Store`.

    `lost+found`, which Linux file systems keep for themselves, is hidden, too. Raises UserError for
    a folder that cannot be read.
    """
    try:
        entries = sorted(_remote(path) if "://" in path else _local(path))
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"folder {path} cannot be read: {reason}; make it readable, or move it away"
        ) from error
    visible = [(name, kind) for name, kind in entries if not name.startswith(".") and name != LOST]
    return Listing(*([n for n, kind in visible if kind == field] for field in Listing._fields))


def _local(folder: str) -> Iterator[tuple[str, str]]:
    """Yield names and their kinds; `tf.io.gfile.listdir` would fail for names that are no UTF-8."""
    with os.scandir(os.fsencode(folder)) as entries:
        for entry in entries:
            name = entry.name.decode(errors="backslashreplace")
            is_broken = entry.is_symlink() and not os.path.exists(entry.path)
            if is_broken or name.encode() != entry.name:
                yield name, "unreadable"
            elif entry.is_dir():
                yield name, "folders"
            else:  # to read a pipe would wait for its writer
                yield name, "files" if entry.is_file() else "unreadable"


def _remote(url: str) -> Iterator[tuple[str, str]]:
    for name in tf.io.gfile.listdir(url):
        is_folder = name.endswith("/") or tf.io.gfile.isdir(join(url, name))
        yield name.rstrip("/"), "folders" if is_folder else "files"
