import io
import signal
import sys

import pytest

from utils.run.run import announce_stop
from utils.run.signals import Interruption


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_is_noted_and_told_by_the_exit_status(name):
    interruption, number = Interruption(), signal.Signals[name]
    before = signal.signal(number, signal.SIG_DFL)  # `nohup python3 -m pytest` ignores SIGHUP
    try:
        with interruption.noted(lambda: None):
            signal.raise_signal(number)
            assert interruption.number == number
    finally:
        signal.signal(number, before)
    assert interruption.exit_status == 128 + number


def test_a_closed_terminal_that_was_to_be_ignored_stays_ignored():
    """As `nohup` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interruption = Interruption()
        with interruption.noted(lambda: None):
            signal.raise_signal(signal.SIGHUP)
        assert interruption.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


class Interrupting(io.RawIOBase):
    """A stream in whose first write a signal comes."""

    written = 0

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.written += 1
        if self.written == 1:
            signal.raise_signal(signal.SIGINT)
        return len(data)


def test_a_signal_in_the_middle_of_a_print_is_noted(monkeypatch):
    """Python refuses to print from its handler then."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(Interrupting())))
    interruption = Interruption()
    with interruption.noted(announce_stop):
        print("a line", flush=True)
    assert interruption.number == signal.SIGINT
