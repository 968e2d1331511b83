"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal): noted, so that a run ends where all is saved."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

from utils.replicas import Replicas


class Interruption:
    """The signal that a run was given, if any."""

    def __init__(self):
        self.number: int | None = None

    @contextlib.contextmanager
    def noted(self, say: Callable[[], None]) -> Iterator[None]:
        """Note signals in the block instead of ending, and `say` so; a second one ends at once."""

        def note(number: int, _) -> None:
            if self.number is not None:
                sys.exit(128 + number)
            self.number = number
            say()

        numbers = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)  # (nohup has it ignored)
        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def is_agreed(self, replicas: Replicas) -> bool:
        """Return whether any worker was given a signal; all must ask, and get the same answer.

        `number` stays what this process was given: launchers signal all workers, and the signal
        that comes after the agreement must not count as a second one.
        """
        return replicas.total(int(self.number is not None)) > 0

    @property
    def exit_status(self) -> int:
        """130 for Ctrl-C, 129 for SIGHUP, else 143, as where only another worker was signalled."""
        return 128 + (self.number or signal.SIGTERM)
