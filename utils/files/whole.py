"""Files are written whole or not at all, on local disks and behind URLs such as `gs://`."""

import contextlib
import errno
import json
import math
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import tensorflow as tf

from utils.errors import UserError, first_line, recorded_how_to_resume

TEMPORARY = ".tmp-"  # the names of unfinished files begin with this
ENDING = 40  # characters of a file's name that the name of the unfinished one keeps
UNFIT = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR)  # errors of a path, not of a disk


def join(folder: str, *names: str) -> str:
    """Return the path of a file in a folder, which may be a URL."""
    return "/".join([folder.rstrip("/"), *names])


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
    """Yield a local temporary path to write; rename it to `path` if the block raises nothing.

    The temporary name, `.tmp-CODE-NAME`, is unique and keeps the ending, by which many writers
    choose the format. Raises UserError for a full or read-only folder; an older file at `path` is
    then unchanged.
    """
    remote = "://" in path
    name = f"{TEMPORARY}{uuid.uuid4().hex[:8]}-{PurePosixPath(path).name[-ENDING:]}"
    folder = tempfile.mkdtemp() if remote else os.path.dirname(path) or "."
    temporary = os.path.join(folder, name)
    try:
        with one_line_write_errors(path):
            yield temporary
            if remote:
                _upload(temporary, path)
            else:
                os.replace(temporary, path)
    finally:
        if remote:
            shutil.rmtree(folder, ignore_errors=True)
        elif os.path.exists(temporary):
            with contextlib.suppress(OSError):
                os.remove(temporary)


def write_json(path: str, content: Any) -> None:
    """Write a JSON file whole or not at all; NaN and Inf, which JSON lacks, become null."""
    with whole_file(path) as temporary, open(temporary, "w") as file:
        json.dump(_finite(content), file, indent=1, allow_nan=False)


def read_json(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file of a run; raises UserError if it is damaged."""
    try:
        with tf.io.gfile.GFile(path) as file:
            return dict(json.load(file))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} is damaged: {first_line(error)}; copy the run folder again, or begin anew"
        ) from error


@contextlib.contextmanager
def one_line_write_errors(path: str) -> Iterator[None]:
    """Turn failures to write `path` into a UserError of one line."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, FileNotFoundError | tf.errors.NotFoundError):
            raise UserError(f"cannot write {path}: its folder does not exist") from error
        reason = getattr(error, "strerror", None) or first_line(error)
        if getattr(error, "errno", None) in UNFIT:
            raise UserError(f"cannot write {path}: {reason}; choose another name") from error
        raise UserError(
            f"cannot write {path}: {reason}; free some space or make the folder writable, then "
            + recorded_how_to_resume("start again")
        ) from error


def make_folder(path: str) -> None:
    """Make a folder and those above it, unless they exist."""
    with one_line_write_errors(path):
        tf.io.gfile.makedirs(path)


def require_writable(folder: str, key: str) -> None:
    """Raise UserError unless the folder of config key `key` can be made or written to.

    A folder behind a URL is not checked.
    """
    if "://" in folder:
        return
    there = Path(folder).absolute()
    while not os.path.exists(there):
        there = there.parent
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise UserError(
            f"'{key}' {folder}: cannot write to {there}: {error.strerror}; choose another folder, "
            f"for example --set {key}={os.path.expanduser('~/runs')}"
        ) from error


def make_subfolder(path: str) -> None:
    """Make a folder, unless it exists; raises UserError if the folder above does not exist."""
    with one_line_write_errors(path), contextlib.suppress(tf.errors.AlreadyExistsError):
        tf.io.gfile.mkdir(path)


def reserve(path: str, size: int) -> None:
    """Raise OSError unless the disk has space for a file of `size` bytes.

    HDF5 needs this check: it crashes the process when a disk is full.
    """
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        elif shutil.disk_usage(os.path.dirname(path) or ".").free < size:  # macOS
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def remove_leftovers(folder: str) -> None:
    """Delete the unfinished files of killed processes; no other process may write in the folder.

    A folder behind a URL is left as it is.
    """
    if "://" in folder:
        return
    for path in Path(folder).rglob(f"{TEMPORARY}*"):
        if path.is_file():
            path.unlink()


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(inner) for key, inner in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(inner) for inner in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _upload(temporary: str, path: str) -> None:
    beside = join(path.rpartition("/")[0], os.path.basename(temporary))
    tf.io.gfile.copy(temporary, beside, overwrite=True)
    tf.io.gfile.rename(beside, path, overwrite=True)
