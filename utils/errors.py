"""The user's mistakes, and the surroundings', told in one line."""

import functools
import sys
from collections.abc import Callable, Sequence


class UserError(Exception):
    """Something the user can mend; its text is one line: what, where, and what to do.

    A script prints it as `error: ...` and exits with status 2. Tracebacks are left to our own bugs.
    """


def one_line_errors(main: Callable) -> Callable:
    """Wrap a script's `main(argv=None)` so that a UserError is one line and exit status 2."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        try:
            main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("interrupted before the first update; nothing was lost", file=sys.stderr)
            sys.exit(130)

    return run
