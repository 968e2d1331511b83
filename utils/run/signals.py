"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal): a run ends after it has saved everything."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

from utils.replicas import Replicas


class Interruption:
    """The signal that a run has got, if any."""

    def __init__(self):
        self.number: int | None = None

    @contextlib.contextmanager
    def noted(self, act: Callable[[], object]) -> Iterator[None]:
        """Record a signal in the block instead of ending, and call `act`; a second one exits."""

        def note(number: int, _) -> None:
            if self.number is not None:
                sys.exit(128 + number)
            self.number = number
            act()

        numbers = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)  # nohup ignores it
        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def is_agreed(self, replicas: Replicas) -> bool:
        """Return whether any worker got a signal; all workers must call this together.

        `number` stays that of this process: launchers signal all workers, and a signal that comes
        after the agreement must not count as a second one.
        """
        return replicas.total(int(self.number is not None)) > 0

    @property
    def exit_status(self) -> int:
        """130 for Ctrl-C, 129 for SIGHUP, else 143, also if only another worker got a signal."""
        return 128 + (self.number or signal.SIGTERM)
