"""Command lines: their mistakes are one line each, and their numbers are checked."""

import argparse
from collections.abc import Callable
from typing import NoReturn

from utils.config.kinds import integer
from utils.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are UserErrors."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def whole_number(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Return the `type` of an argument that is a whole number from `minimum` (to `maximum`)."""
    kind = integer(minimum, maximum)

    def read(text: str) -> int:
        try:
            return kind.read(int(text))
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"must be {kind.label}, not {text}") from error

    return read
