"""A script of this repository as a process of its own, which gets the signals of its parent."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from utils.config.load import REPOSITORY
from utils.run.signals import Interruption


@contextlib.contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen]:
    """Start `SCRIPT.py ARGUMENT ...`, pass signals on to it in the block, kill it at its end.

    A first signal lets the script save its state and end; a second one ends this process as well.
    """
    interruption = Interruption()
    process = subprocess.Popen(
        [sys.executable, str(REPOSITORY / command[0]), *command[1:]],
        start_new_session=True,  # Ctrl-C reaches it through this process only
        **options,
    )
    try:
        with interruption.noted(lambda: process.send_signal(interruption.number)):
            yield process
    finally:
        process.kill()  # if the block ended early
