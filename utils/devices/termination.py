"""Signals that end a worker outside of its updates, even while it waits for others."""

import os
import signal
import sys
import threading


def end_at_signals() -> None:
    """Let Ctrl-C and SIGTERM end this worker from now on, until a run handles them.

    A worker that has joined the others needs this: TensorFlow's handler only logs SIGTERM, and a
    handler of Python waits for the end of the current operation, which never comes if another
    worker is missing. Therefore a thread ends the process.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_it_to_the_thread)
    signal.set_wakeup_fd(writer)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def _leave_it_to_the_thread(number: int, frame: object) -> None:
    """Do nothing: with this handler Python writes the signal to the thread's pipe."""


def _watch(reader: int) -> None:
    while True:
        number = os.read(reader, 1)[0]
        if signal.getsignal(number) is _leave_it_to_the_thread:
            name = signal.Signals(number).name
            message = f"ended by {name}; outside of updates nothing is lost"
            print(message, file=sys.stderr, flush=True)
            os._exit(128 + number)
