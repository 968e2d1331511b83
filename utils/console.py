"""Printing that never fails, not even when the terminal or pipe has closed."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from utils.before_tensorflow import release

from tqdm import tqdm


def print_line(line: str) -> None:
    """Print a line at once, above the progress bars that are on the terminal."""
    with tqdm.external_write_mode():
        print(line, flush=True)


@contextlib.contextmanager
def console() -> Iterator[None]:
    """Let no print in the block fail: neither for a closed terminal nor for unknown letters."""
    with contextlib.ExitStack() as stack:
        # Streams that were closed before the start are None.
        nowhere = stack.enter_context(open(os.devnull, "w"))
        out, err = (_Stream(stream or nowhere) for stream in (sys.stdout, sys.stderr))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            yield
        finally:  # flushed here, because Python's own flush at exit would fail
            for stream in (out, err):
                stream.flush()


class _Stream:
    """A text stream whose writes never fail; after a failure its text is discarded."""

    def __init__(self, stream: TextIO):
        self._stream, self._is_gone = stream, False
        # Standard error replaces letters anyway, and cannot be changed behind our filter.
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        if self._stream is not sys.__stderr__:  # the filter passes warnings and errors on
            release()
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        release()  # a question such as `isatty` must not reach the filter
        return getattr(self._stream, name)

    def _try(self, call, *arguments: str) -> None:
        if self._is_gone:
            return
        try:
            call(*arguments)
        except OSError as error:
            self._is_gone = True
            # What the stream still holds is discarded, too; Python's exit would fail otherwise.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            print(f"warning: {self._stream.name} is gone ({error}); continuing", file=sys.stderr)
