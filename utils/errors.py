"""The user's mistakes, and the surroundings', told in one line."""

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

_HOW_TO_GO_ON = contextvars.ContextVar("how to go on")
_WHAT_FILLS_MEMORY = contextvars.ContextVar("what fills a device's memory")
_AT_THE_END = contextvars.ContextVar("what a script closes when it ends")


class UserError(Exception):
    """Something the user can mend; its text is one line: what, where, and what to do.

    A script prints it as `error: ...` and exits with status 2. Tracebacks are left to our own bugs.
    """


class Diverged(UserError):
    """A chain is NaN or Inf; on all workers alike."""


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, for use inside a one-line error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def closest(name: str, names: Iterable[str]) -> str | None:
    """Return which of `names` is meant by one that does not exist; case does not count."""
    lower = {str(known).lower(): str(known) for known in names}
    close = difflib.get_close_matches(str(name).lower(), lower, n=1)
    return lower[close[0]] if close else None


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the hint of an error about a name that does not exist: the one meant, or all."""
    names = [str(known) for known in names]
    if close := closest(name, names):
        return f" (did you mean '{close}'?)"
    return f"; there are: {', '.join(names)}" if len(names) <= 50 else ""


# What TensorFlow says where the compilation fails, and where CUDA's own tools do or are missing.
OF_XLA = ("XlaMustCompile", "tf2xla", "JIT compilation failed", "ptxas", "libdevice")


def one_line_errors(main: Callable) -> Callable:
    """Wrap a script's `main(argv=None)` so that a UserError is one line and exit status 2.

    So are a network that there is not, a device's memory that is full, and the end of another
    worker, without which a run of many machines cannot go on.
    """

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        with console():
            _run(main, argv)

    return run


def _run(main: Callable, argv: Sequence[str] | None) -> None:
    context = contextvars.copy_context()
    try:
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
    except KeyboardInterrupt:
        print("interrupted before the first update; nothing was lost", file=sys.stderr)
        sys.exit(130)


def until_the_end(close: Callable[[], None]) -> None:
    """Have the script under way call `close` when it ends, however it ends."""
    stack = _AT_THE_END.get(None)
    if stack is not None:
        stack.callback(close)


def tell_how_to_go_on(advice: str) -> None:
    """Note what a user has to do should another worker end this script."""
    _HOW_TO_GO_ON.set(advice)


def tell_what_fills_memory(key: str) -> None:
    """Note which key a user has to choose smaller should a device's memory not do."""
    _WHAT_FILLS_MEMORY.set(key)


def how_to_go_on(otherwise: str) -> str:
    """Return that advice, or `otherwise` while there is no run to go on with."""
    return _HOW_TO_GO_ON.get(otherwise)


def _in_one_line(error: tf.errors.OpError) -> str | None:
    """Return what a user has to know of an error of TensorFlow; None where it is our own bug."""
    text = str(error)
    if isinstance(error, tf.errors.ResourceExhaustedError):
        key = _WHAT_FILLS_MEMORY.get("batch_size")
        return f"out of memory: choose a smaller {key}"
    lines = [line.strip().rstrip(".") for line in text.splitlines() if "eterminis" in line]
    if isinstance(error, tf.errors.UnimplementedError) and lines:
        return f"{lines[0]}: add --set deterministic=False to run it all the same"
    if any(sign in text for sign in OF_XLA):
        return (
            f"XLA cannot compile what the device computes: {first_line(error)}; where key 'jit' "
            "asks for it, add --set jit=False to run without"
        )
    if _is_of_another_worker(error):
        advice = how_to_go_on("start all of them again")
        return f"another worker died or cannot be reached; on every worker, {advice}"
    return None


def _is_of_another_worker(error: tf.errors.OpError) -> bool:
    """Return whether an operation failed since a worker that takes part in it is gone."""
    return "TF_CONFIG" in os.environ and (
        isinstance(error, tf.errors.UnavailableError) or "Collective ops is aborted" in str(error)
    )
