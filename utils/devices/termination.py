"""Signals to a worker that is not at its updates: they end it, though it waits for others."""

import os
import signal
import sys
import threading


def end_at_signals() -> None:
    """Have Ctrl-C and SIGTERM end this worker from now on, until a run notes them.

    For a worker that has joined the others: TensorFlow has set a handler that only logs SIGTERM.
    One of Python's waits until an operation ends, for ever where another worker is missing: so a
    thread does what is to be done.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_it_to_the_thread)
    signal.set_wakeup_fd(writer)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def _leave_it_to_the_thread(number: int, frame: object) -> None:
    """Be a handler, so that the thread hears of the signal."""


def _watch(reader: int) -> None:
    while True:
        number = os.read(reader, 1)[0]
        if signal.getsignal(number) is _leave_it_to_the_thread:
            name = signal.Signals(number).name
            words = f"ended by {name}; outside of updates nothing is lost"
            print(words, file=sys.stderr, flush=True)
            os._exit(128 + number)
