"""Settings before TensorFlow is imported: oneDNN on, its start-up lines off the console.

Importing this module makes these settings, the one exception to "importing does nothing":
TensorFlow reads variables and logs lines while it is imported. If it is imported already, nothing
is done.
"""

import atexit
import contextlib
import functools
import gc
import os
import re
import sys
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

ONEDNN, LOG_LEVEL = "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"
# Log lines of TensorFlow below "fatal", which begin with a date, and the lines around them.
START_UP = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:|\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
    rb"|WARNING: All log messages before absl|To enable the following instructions"
)
RARELY = 100_000  # new objects per garbage collection: the import takes half a second less
_END = b"\0\n"  # tells the filter that the start-up is over
_RELEASE: list[Callable[[], object]] = []  # what `release` does, once


def release() -> None:
    """End the start-up: undo its settings before the first line on standard output."""
    while _RELEASE:
        _RELEASE.pop()()


def _collect_rarely() -> None:
    """Collect garbage rarely until `release`: the objects of an import stay anyway."""
    _RELEASE.append(functools.partial(gc.set_threshold, *gc.get_threshold()))
    gc.set_threshold(RARELY)


def _be_brief_if_interrupted() -> None:
    """Report Ctrl-C in one line until `release`; a script that has begun does so itself."""

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None):
        if issubclass(kind, KeyboardInterrupt):
            print("interrupted; no run had begun", file=sys.stderr)
        else:
            usual(kind, error, trace)

    usual, sys.excepthook = sys.excepthook, report
    _RELEASE.append(functools.partial(setattr, sys, "excepthook", usual))


def _log_no_information() -> None:
    """Log only warnings and errors. TensorFlow reads the variable once, so `release` removes it."""
    os.environ[LOG_LEVEL] = "1"
    _RELEASE.append(functools.partial(os.environ.pop, LOG_LEVEL, None))


def _filter_standard_error() -> None:
    """Send standard error through a child process that holds start-up lines back until `release`.

    A thread could neither read while TensorFlow's libraries are loaded nor survive an abort. If
    this process dies before `release`, the child prints all lines.
    """
    with contextlib.suppress(OSError):  # without standard error there is nothing to do
        original, (reader, writer) = os.dup(2), os.pipe()
        child = os.fork()
        if child == 0:
            _pass_on(reader)
        os.close(reader)
        os.dup2(writer, 2)
        _RELEASE.append(lambda: _give_back(original, writer, child))
        atexit.register(release)


def _give_back(original: int, writer: int, child: int) -> None:
    os.dup2(original, 2)
    with contextlib.suppress(OSError):  # the child may have ended already
        os.write(writer, _END)
        os.close(writer)
        os.close(original)
        os.waitpid(child, 0)


def _pass_on(reader: int) -> NoReturn:
    """Copy lines to standard error, start-up lines only if the writer dies; then exit."""
    try:
        os.setsid()  # Ctrl-C is for the writer
        os.dup2(reader, 0)
        os.close(1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the pipe's writer, too: else no end
        held = []
        with open(0, "rb") as lines:
            for line in lines:
                text = line.removesuffix(_END)
                held.append(text) if START_UP.match(text) else os.write(2, text)
                if text != line:
                    os._exit(0)
        os.write(2, b"".join(held))
    finally:
        os._exit(0)


if "tensorflow" not in sys.modules:
    os.environ.setdefault(ONEDNN, "1")
    _collect_rarely()
    _be_brief_if_interrupted()
    if LOG_LEVEL not in os.environ:
        _log_no_information()
        if hasattr(os, "fork"):
            _filter_standard_error()
