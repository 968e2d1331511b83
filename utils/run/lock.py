"""The lock of a run folder: one process works in it; the system frees the lock when it ends."""

import functools
import os
import socket

from utils.errors import UserError, until_the_end
from utils.files.whole import join, one_line_write_errors

LOCK_FILE = ".lock"


def own(folder: str) -> None:
    """Lock a run folder until the script ends or is killed.

    Raises UserError that names the process that has locked it. Prints a warning for a folder that
    cannot be locked.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        fcntl = None
    if "://" in folder or fcntl is None:
        _warn(folder)
        return
    path = join(folder, LOCK_FILE)
    with one_line_write_errors(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    until_the_end(functools.partial(os.close, file))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(file, 1000).decode() or "another process"
        raise UserError(f"{owner} is at work in {folder}: wait for its end, or stop it") from error
    except OSError:  # a file system without locks
        _warn(folder)
        return
    with one_line_write_errors(path):
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _warn(folder: str) -> None:
    print(
        f"warning: {folder} cannot be locked: do not resume this run in a second process",
        flush=True,
    )
