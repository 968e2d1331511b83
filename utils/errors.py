"""Mistakes of a user, and failures of the machine, reported in one line."""

import contextlib
import contextvars
import difflib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

from nets.layers import NoSuchNetwork
from utils.console import console

_HOW_TO_RESUME = contextvars.ContextVar("how to resume the run")
_MEMORY_KEY = contextvars.ContextVar("the config key that decides on memory")
_AT_THE_END = contextvars.ContextVar("what a script closes when it ends")


class UserError(Exception):
    """A mistake that the user can correct; its text is one line: what, where, and what to do.

    A script prints it as `error: ...` and exits with status 2. Only our own bugs show tracebacks.
    """


class Diverged(UserError):
    """A chain is NaN or Inf; while chains run, all workers raise it together."""

    def __init__(self, what: str):
        super().__init__(f"{what}; choose a smaller 'epsilon' or other weights")


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, for a one-line error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def closest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that is nearest to an unknown name, None if none is near.

    Upper and lower case are the same.
    """
    lower = {str(known).lower(): str(known) for known in names}
    close = difflib.get_close_matches(str(name).lower(), lower, n=1)
    return lower[close[0]] if close else None


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the hint of an error about an unknown name: the nearest of `names`, or all of them."""
    names = [str(known) for known in names]
    if close := closest(name, names):
        return f" (did you mean '{close}'?)"
    return f"; there are: {', '.join(names)}" if len(names) <= 50 else ""


OF_A_FULL_DISK = ("No space left on device", "Disk quota exceeded")
# Parts of TensorFlow's messages about failures of XLA and about failing or missing tools of CUDA.
OF_XLA = ("XlaMustCompile", "tf2xla", "JIT compilation failed", "ptxas", "libdevice")


def one_line_errors(main: Callable) -> Callable:
    """Wrap a script's `main(argv=None)` so that a UserError is one line and exit status 2.

    Unknown networks, out-of-memory, failures of XLA and lost workers are reported the same way.
    """

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        with console():
            _run(main, argv)

    return run


def _run(main: Callable, argv: Sequence[str] | None) -> None:
    context = contextvars.copy_context()
    try:
        _require_working_folder()
        with contextlib.ExitStack() as at_the_end:
            context.run(_AT_THE_END.set, at_the_end)
            context.run(main, argv)
    except (UserError, NoSuchNetwork) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except tf.errors.OpError as error:
        reason = context.run(_in_one_line, error)
        if reason is None:
            raise
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, TypeError) as error:
        # Keras rebuilds TensorFlow's error with too few arguments.
        if isinstance(error, TypeError) and "ResourceExhaustedError" not in str(error):
            raise
        print(f"error: {context.run(_out_of_memory)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        advice = context.run(recorded_how_to_resume, "no run had begun")
        print(f"interrupted; {advice}", file=sys.stderr)
        sys.exit(130)


def _require_working_folder() -> None:
    try:
        os.getcwd().encode()
    except FileNotFoundError as error:
        raise UserError("the current folder is deleted: cd to one that exists") from error
    except UnicodeEncodeError as error:
        raise UserError("the current folder's path is not UTF-8: rename it, or cd away") from error


def _out_of_memory() -> str:
    key = _MEMORY_KEY.get("batch_size")
    return f"out of memory: choose a smaller {key}, or smaller networks"


def until_the_end(close: Callable[[], None]) -> None:
    """Let the running script call `close` when it ends, with or without an error."""
    stack = _AT_THE_END.get(None)
    if stack is not None:
        stack.callback(close)


def record_how_to_resume(advice: str) -> None:
    """Record the advice that a user gets if a lost worker or a full disk ends this script."""
    _HOW_TO_RESUME.set(advice)


def record_memory_key(key: str) -> None:
    """Record which key a user must make smaller if a device runs out of memory."""
    _MEMORY_KEY.set(key)


def recorded_how_to_resume(otherwise: str) -> str:
    """Return the recorded advice, or `otherwise` if no run has begun."""
    return _HOW_TO_RESUME.get(otherwise)


def _in_one_line(error: tf.errors.OpError) -> str | None:
    """Return the message for an error of TensorFlow, None if it is our own bug."""
    text = str(error)
    if any(sign in text for sign in OF_A_FULL_DISK):  # for TensorFlow, a resource like memory
        return f"{first_line(error)}; free some space, then {recorded_how_to_resume('start again')}"
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return _out_of_memory()
    if "File system scheme" in text:
        return f"{first_line(error)}; use a path of this machine, or gs://"
    lines = [line.strip().rstrip(".") for line in text.splitlines() if "eterminis" in line]
    if isinstance(error, tf.errors.UnimplementedError) and lines:
        return f"{lines[0]}: add --set deterministic=False to run it anyway"
    if any(sign in text for sign in OF_XLA):
        return (
            f"XLA cannot compile the work of the device: {first_line(error)}; if 'jit' is True, "
            "add --set jit=False to run without"
        )
    if _is_of_another_worker(error):
        advice = recorded_how_to_resume("start all of them again")
        return f"another worker died or cannot be reached; on every worker, {advice}"
    return None


def _is_of_another_worker(error: tf.errors.OpError) -> bool:
    """Return whether an operation failed because another worker is lost."""
    return "TF_CONFIG" in os.environ and (
        isinstance(error, tf.errors.UnavailableError) or "Collective ops is aborted" in str(error)
    )
