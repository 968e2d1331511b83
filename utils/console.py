"""Where a script prints: it goes on when nobody listens any more."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from utils.before_tensorflow import release


@contextlib.contextmanager
def console() -> Iterator[None]:
    """Let no print in the block fail: for a closed pipe or terminal, or a letter that it lacks."""
    out, err = (stream and _Stream(stream) for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:  # here, since Python itself fails at its end where it cannot flush
            for stream in filter(None, (out, err)):
                stream.flush()


class _Stream:
    """A text stream whose writes never fail; after one that did, they go nowhere."""

    def __init__(self, stream: TextIO):
        self._stream, self._is_gone = stream, False
        # Standard error replaces letters anyway; led to a filter it could not be changed.
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        release()
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        release()  # whoever asks for a terminal must not see the filter
        return getattr(self._stream, name)

    def _try(self, call, *arguments: str) -> None:
        if self._is_gone:
            return
        try:
            call(*arguments)
        except OSError as error:
            self._is_gone = True
            # What the stream still holds goes nowhere, too, or Python's own end would fail.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            print(f"warning: {self._stream.name} is gone ({error}); going on", file=sys.stderr)
