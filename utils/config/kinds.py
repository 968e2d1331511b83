"""Kinds of config values: how a reader is told what a key takes, and how a value is read."""

import dataclasses
import itertools
import math
import os
from collections.abc import Callable
from types import UnionType
from typing import Any

LONGEST_PART = 255  # bytes of one name in a path, the limit of the usual file systems
LONGEST_NAME = 200  # of a run: its time and what tells files from others still fit behind it


@dataclasses.dataclass(frozen=True)
class Kind:
    """What values a key takes: how a reader is told, and how a value is read.

    `read` returns the value as the program uses it and raises ValueError for one that it refuses.
    """

    label: str
    read: Callable[[Any], Any]


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError


def _real(value: Any) -> float:
    _require(isinstance(value, int | float) and not isinstance(value, bool))
    _require(math.isfinite(value))
    return float(value)


def _whole(value: Any) -> int:
    number = _real(value)
    _require(number == int(number))
    return int(number)


def integer(minimum: int, maximum: int | None = None) -> Kind:
    """Return the kind of whole numbers from `minimum` (to `maximum`); 1000.0 counts as 1000."""

    def read(value: Any) -> int:
        number = _whole(value)
        _require(number >= minimum and (maximum is None or number <= maximum))
        return number

    return Kind(f"int >= {minimum}" + (f", <= {maximum}" if maximum is not None else ""), read)


def real(minimum: float, *, above: bool = False, maximum: float = math.inf) -> Kind:
    """Return the kind of numbers from `minimum` (or `above` it) to `maximum`."""

    def read(value: Any) -> float:
        number = _real(value)
        _require((number > minimum if above else number >= minimum) and number <= maximum)
        return number

    upper = f", <= {maximum:g}" if maximum < math.inf else ""
    return Kind(f"number {'>' if above else '>='} {minimum:g}{upper}", read)


def choice(*names: str) -> Kind:
    """Return the kind of one of these words."""

    def read(value: Any) -> str:
        _require(isinstance(value, str) and value in names)
        return value

    return Kind(" | ".join(f"`{name}`" for name in names), read)


def list_of(kind: Kind, label: str, length: int | None = None) -> Kind:
    """Return the kind of lists (or tuples) of one kind, of a given length if any."""

    def read(value: Any) -> list:
        _require(isinstance(value, list | tuple) and len(value) > 0)
        _require(length is None or len(value) == length)
        return [kind.read(item) for item in value]

    return Kind(label, read)


def schedule(label: str, *columns: Kind) -> Kind:
    """Return the kind of schedules: rows of `columns` and the update from which each holds."""

    def read(value: Any) -> list[list]:
        _require(isinstance(value, list | tuple) and len(value) > 0)
        rows = []
        for row in value:
            _require(isinstance(row, list | tuple) and len(row) == len(columns) + 1)
            entries = [column.read(entry) for column, entry in zip(columns, row, strict=False)]
            rows.append([*entries, integer(0).read(row[-1])])
        starts = [row[-1] for row in rows]
        _require(starts[0] == 0 and all(a < b for a, b in itertools.pairwise(starts)))
        return rows

    return Kind(f"{label}; first row from 0, rows sorted", read)


def optional(kind: Kind) -> Kind:
    """Return the kind that also takes None."""
    return Kind(f"{kind.label} or None", lambda value: None if value is None else kind.read(value))


def _read_image_dims(value: Any) -> list[int]:
    height, width, channels = list_of(integer(1), "", length=3).read(value)
    _require(height == width and channels in (1, 3))
    return [height, width, channels]


def _read_type(expected: type | UnionType) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        _require(isinstance(value, expected))
        return value

    return read


def _read_name(value: Any) -> str:
    _require(isinstance(value, str) and value.strip() != "")
    return value


def _read_file_name(value: Any) -> str:
    name = _read_name(value)
    _require(not set(name) & {"/", "\0"} and len(os.fsencode(name)) <= LONGEST_NAME)
    return name


def _read_path(value: Any) -> str:
    return os.path.expanduser(_read_type(str)(value))


def _read_folder(value: Any) -> str:
    folder = os.path.expanduser(_read_name(value))
    _require("\0" not in folder)
    _require(all(len(os.fsencode(part)) <= LONGEST_PART for part in folder.split("/")))
    return folder


def _refuse(value: Any) -> None:
    _require(value is None)


DICT = Kind("dict", _read_type(dict))
CLASSES = Kind("number or list of names", _read_type(int | list))
BOOL = Kind("bool", _read_type(bool))
STRING = Kind("string", _read_name)
FILE_NAME = Kind(f"name without '/', at most {LONGEST_NAME} bytes long", _read_file_name)
FOLDER = Kind(f"folder, each part of its path at most {LONGEST_PART} bytes long", _read_folder)
PATH = Kind("path or None", lambda value: None if value is None else _read_path(value))
IMAGE_DIMS = Kind("[size, size, 3] or [size, size, 1]", _read_image_dims)
OFF_AT_ZERO = Kind("number >= 0 or None", lambda value: optional(real(0)).read(value) or None)
REPLACED = Kind("None: replaced by `--resume RUN_DIR`", _refuse)
LR_ROWS = schedule("rows [learning rate, from update]", real(0))
MCMC_ROWS = schedule(
    "rows [K, burn-in steps, p, from update]", integer(1), integer(0), real(0, maximum=1)
)
LONGRUN_ROWS = schedule(
    "rows [K, burn-in steps, threshold, from update]", integer(1), integer(1), integer(1)
)
