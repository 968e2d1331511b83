"""Command lines: a mistake is reported in one line, and numbers are checked."""

import argparse
import contextlib
import math
import os
from collections.abc import Callable
from typing import NoReturn

from utils.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser that raises UserError for a wrong command line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def path(text: str) -> str:
    """The `type` of an argument: a path, `~` for the home folder."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError("is not UTF-8: rename it") from error
    return os.path.expanduser(text)


def whole_number(minimum: int, maximum: float = math.inf) -> Callable[[str], int]:
    """Return the `type` of an argument: whole numbers from `minimum` to `maximum`."""

    def read(text: str) -> int:
        with contextlib.suppress(ValueError):
            if minimum <= (number := int(text)) <= maximum:
                return number
        upper = f", <= {maximum}" if maximum < math.inf else ""
        raise argparse.ArgumentTypeError(f"must be int >= {minimum}{upper}, not {text}")

    return read
