"""The user's mistakes, and the surroundings', told in one line."""

import contextvars
import functools
import os
import sys
from collections.abc import Callable, Sequence

import tensorflow as tf

from nets.layers import NoSuchNetwork

_HOW_TO_GO_ON = contextvars.ContextVar("how to go on")


class UserError(Exception):
    """Something the user can mend; its text is one line: what, where, and what to do.

    A script prints it as `error: ...` and exits with status 2. Tracebacks are left to our own bugs.
    """


class Diverged(UserError):
    """A chain is NaN or Inf; on all workers alike."""


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, for use inside a one-line error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def one_line_errors(main: Callable) -> Callable:
    """Wrap a script's `main(argv=None)` so that a UserError is one line and exit status 2.

    So are a network that there is not, a device's memory that is full, and the end of another
    worker, without which a run of many machines cannot go on.
    """

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        context = contextvars.copy_context()
        try:
            context.run(main, argv)
        except (UserError, NoSuchNetwork) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except tf.errors.OpError as error:
            if isinstance(error, tf.errors.ResourceExhaustedError):
                print("error: out of memory: choose a smaller batch_size", file=sys.stderr)
                sys.exit(2)
            if not _is_of_another_worker(error):
                raise
            advice = context.get(_HOW_TO_GO_ON, "start all of them again")
            print(
                f"error: another worker died or cannot be reached; on every worker, {advice}",
                file=sys.stderr,
            )
            sys.exit(2)
        except KeyboardInterrupt:
            print("interrupted before the first update; nothing was lost", file=sys.stderr)
            sys.exit(130)

    return run


def tell_how_to_go_on(advice: str) -> None:
    """Note what a user has to do should another worker end this script."""
    _HOW_TO_GO_ON.set(advice)


def _is_of_another_worker(error: tf.errors.OpError) -> bool:
    """Return whether an operation failed since a worker that takes part in it is gone."""
    return "TF_CONFIG" in os.environ and (
        isinstance(error, tf.errors.UnavailableError) or "Collective ops is aborted" in str(error)
    )
