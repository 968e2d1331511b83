"""What is done before TensorFlow is imported: oneDNN on, its start-up lines off the console.

Importing this module does it, the one exception to "importing does nothing". TensorFlow reads the
variable and logs its lines while it is imported; where it is imported already nothing is done.
"""

import atexit
import contextlib
import functools
import gc
import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn

ONEDNN, LOG_LEVEL = "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"
# Lines of its loggers below "fatal", with their date, and what it writes around them.
START_UP = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:|\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
    rb"|WARNING: All log messages before absl|To enable the following instructions"
)
RARELY = 100_000  # new objects per collection: half a second less for the import
_END = b"\0\n"  # of the start-up, for the filter
_RELEASE: list[Callable[[], object]] = []  # what `release` has to do, once


def release() -> None:
    """Undo what is of the start-up alone: it is over, a script prints its first own line."""
    while _RELEASE:
        _RELEASE.pop()()


def _collect_rarely() -> None:
    """Let the garbage collector rest until `release`, for what an import makes stays."""
    _RELEASE.append(functools.partial(gc.set_threshold, *gc.get_threshold()))
    gc.set_threshold(RARELY)


def _log_no_information() -> None:
    """Log from warnings on; TensorFlow reads it when it is imported, processes of ours anew."""
    os.environ[LOG_LEVEL] = "1"
    _RELEASE.append(functools.partial(os.environ.pop, LOG_LEVEL, None))


def _filter_standard_error() -> None:
    """Lead file descriptor 2 through a process that holds start-up lines back until `release`.

    A process of its own, for a thread could neither read while TensorFlow's libraries are loaded
    nor outlive an abort. A process that dies before `release` has all of its lines shown.
    """
    with contextlib.suppress(OSError):  # where there is no standard error, there is nothing to do
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
    with contextlib.suppress(OSError):  # one that is gone needs no end
        os.write(writer, _END)
        os.close(writer)
        os.close(original)
        os.waitpid(child, 0)


def _pass_on(reader: int) -> NoReturn:
    """Copy lines to standard error, those of the start-up only if the writer dies; end."""
    try:
        os.setsid()  # Ctrl-C is for the writer
        os.dup2(reader, 0)
        os.close(1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the pipe, too, or its end would not be seen
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
    if LOG_LEVEL not in os.environ:
        _log_no_information()
        if hasattr(os, "fork"):
            _filter_standard_error()
