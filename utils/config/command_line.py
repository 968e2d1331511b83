"""Command lines: their mistakes are one line each, and their numbers are checked."""

import argparse
import contextlib
from collections.abc import Callable
from typing import NoReturn

from utils.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are UserErrors."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def whole_number(minimum: int) -> Callable[[str], int]:
    """Return the `type` of an argument that is a whole number from `minimum`."""

    def read(text: str) -> int:
        with contextlib.suppress(ValueError):
            if (number := int(text)) >= minimum:
                return number
        raise argparse.ArgumentTypeError(f"must be int >= {minimum}, not {text}")

    return read
