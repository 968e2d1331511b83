"""Ctrl-C and SIGTERM: noted, so that a run ends where everything is saved."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator


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

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def exit_status(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number
