"""Files appear whole or not at all, on local disks and behind URLs such as `gs://` alike."""

import contextlib
import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import tensorflow as tf

from utils.errors import UserError, first_line, how_to_go_on

TEMPORARY = ".tmp-"  # how names of files begin that are not whole yet


def join(folder: str, *names: str) -> str:
    """Return the path of a file in a folder that may be a URL."""
    return "/".join([folder.rstrip("/"), *names])


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
    """Give a local temporary name to write; rename it to `path` when the block ends well.

    The temporary name is nobody else's and keeps the ending (`.tmp-CODE-NAME`), by which many
    writers choose the format. A full or read-only folder raises UserError, and what stood at `path`
    before still stands.
    """
    remote = "://" in path
    name = f"{TEMPORARY}{uuid.uuid4().hex[:8]}-{PurePosixPath(path).name}"
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


@contextlib.contextmanager
def one_line_write_errors(path: str) -> Iterator[None]:
    """Turn failures to write `path` into the one line that tells the user."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, FileNotFoundError | tf.errors.NotFoundError):
            raise UserError(f"cannot write {path}: its folder is not there") from error
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"cannot write {path}: {reason}; free some space or make the folder writable, then "
            + how_to_go_on("start again")
        ) from error


def make_folder(path: str) -> None:
    """Make a folder and those above it; fine if it is there."""
    with one_line_write_errors(path):
        tf.io.gfile.makedirs(path)


def require_writable(folder: str, key: str) -> None:
    """Raise UserError unless a folder that config key `key` names can be made or written in.

    Behind a URL only the first write shows it.
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
            f"'{key}' {folder}: cannot write in {there}: {error.strerror}; choose another folder, "
            f"for example --set {key}={Path.home() / 'runs'}"
        ) from error


def make_room(path: str) -> None:
    """Make a folder in one that must be there; fine if another process was quicker."""
    with one_line_write_errors(path), contextlib.suppress(tf.errors.AlreadyExistsError):
        tf.io.gfile.mkdir(path)


def reserve(path: str, size: int) -> None:
    """Raise OSError unless there is room for a file of `size` bytes.

    For writers that cannot fail well: HDF5 crashes the process when a disk is full.
    """
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        elif shutil.disk_usage(os.path.dirname(path) or ".").free < size:  # macOS
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def remove_leftovers(folder: str) -> None:
    """Delete what killed processes left half-written in a folder that no other process writes.

    Behind a URL it stays.
    """
    if "://" in folder:
        return
    for path in Path(folder).rglob(f"{TEMPORARY}*"):
        path.unlink()


def _upload(temporary: str, path: str) -> None:
    beside = join(path.rpartition("/")[0], os.path.basename(temporary))
    tf.io.gfile.copy(temporary, beside, overwrite=True)
    tf.io.gfile.rename(beside, path, overwrite=True)
