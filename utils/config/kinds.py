"""Types of config values: pydantic checks them, `label` describes them to a reader."""

import os
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Predicate
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter

LARGEST = 2**31 - 1
LONGEST_PART = 255  # bytes of one name in a path, the limit of the usual file systems
LONGEST_NAME = 200  # bytes of a run's name: its time and the endings of files still fit behind it
WORDS = {"boolean": "bool", "integer": "int", "null": "None"}  # of JSON's types
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<="}


def whole(**bounds: Any) -> Any:
    """Type of whole numbers within `bounds` (those of pydantic's Field); 1000.0 counts as 1000.

    None is above `LARGEST`: devices count in 32 bits.
    """
    within: dict[str, Any] = {"le": LARGEST, **bounds}
    return Annotated[int, Field(**within), BeforeValidator(_without_point)]


def number(**bounds: Any) -> Any:
    """Type of finite numbers within `bounds` (those of pydantic's Field)."""
    return Annotated[float, Field(allow_inf_nan=False, **bounds), AfterValidator(float)]


def list_of(kind: Any, title: str, **length: Any) -> Any:
    """Type of non-empty lists (or tuples) of one type; `title` describes them."""
    bounds: dict[str, Any] = {"min_length": 1, **length}
    return Annotated[list[kind], Field(title=title, **bounds), BeforeValidator(_as_list)]


def schedule(title: str, *columns: Any) -> Any:
    """Type of schedules: rows of `columns`, each with the update from which it holds."""
    row = tuple[*columns, whole(ge=0)]
    row = Annotated[row, BeforeValidator(_as_tuple), AfterValidator(list)]
    title = f"{title}; first row from 0, rows sorted"
    return Annotated[list_of(row, title), Predicate(_ascends_from_0)]


def label(kind: Any) -> str:
    """Describe the values of a type: by its title, else by its JSON schema."""
    return _label(TypeAdapter(kind).json_schema())


def _label(schema: Mapping[str, Any]) -> str:
    if "title" in schema:
        return schema["title"]
    if "anyOf" in schema:
        return " or ".join(map(_label, schema["anyOf"]))
    if names := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " | ".join(f"`{name}`" for name in names)
    bounds = [
        f"{sign} {schema[name]:.10g}"
        for name, sign in BOUNDS.items()
        if schema.get(name, LARGEST) != LARGEST
    ]
    return f"{WORDS.get(schema['type'], schema['type'])} {', '.join(bounds)}".strip()


def _without_point(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _ascends_from_0(rows: list[list]) -> bool:
    starts = [row[-1] for row in rows]
    return starts[0] == 0 and starts == sorted(set(starts))


def _is_text(text: str) -> bool:
    """Return whether a text is visible UTF-8, without control characters such as the CR of CRLF."""
    return bool(text.strip()) and not {*map(unicodedata.category, text)} & {"Cc", "Cs"}


def _fits_file_name(name: str) -> bool:
    return len(os.fsencode(name)) <= LONGEST_NAME and _is_text(name) and "/" not in name


def _fits_folder(path: str) -> bool:
    fits = all(len(os.fsencode(part)) <= LONGEST_PART for part in path.split("/"))
    return fits and _is_text(path) and "$" not in path


def _expanded(path: str) -> str:
    return os.path.expandvars(os.path.expanduser(path))


def _is_square(image_dims: list[int]) -> bool:
    height, width, channels = image_dims
    return height == width and channels in (1, 3)


# One Predicate per type: pydantic 2.7 keeps no second.
TEXT: Any = Annotated[str, Predicate(_is_text)]
FILE_NAME = Annotated[
    str,
    Predicate(_fits_file_name),
    Field(title=f"name without '/', at most {LONGEST_NAME} bytes long"),
]
FOLDER = Annotated[
    str,
    AfterValidator(_expanded),
    Predicate(_fits_folder),
    Field(title=f"folder, each part of its path at most {LONGEST_PART} bytes long"),
]
PATH = (
    Annotated[  # published files write "" for None
        str,
        Field(title="path"),
        AfterValidator(_expanded),
        Predicate(lambda path: not path or _is_text(path)),
    ]
    | None
)
BUCKET = Annotated[
    str,
    Field(title="bucket"),
    AfterValidator(lambda name: name.removeprefix("gs://").rstrip("/")),
    Predicate(lambda name: not name or _is_text(name)),
]
IMAGE_DIMS = Annotated[
    list_of(whole(ge=1), "[size, size, 3] or [size, size, 1]", min_length=3, max_length=3),
    Predicate(_is_square),
]
OFF_AT_ZERO = Annotated[number(ge=0) | None, AfterValidator(lambda value: value or None)]
REPLACED = Annotated[None, Field(title="None: replaced by `--resume RUN_DIR`")]
LR_ROWS = schedule("rows [learning rate, from update]", number(ge=0))
MCMC_ROWS = schedule(
    "rows [K, burn-in steps, p, from update]", whole(ge=1), whole(ge=0), number(ge=0, le=1)
)
LONGRUN_ROWS = schedule(
    "rows [K, burn-in steps, threshold, from update]", whole(ge=1), whole(ge=1), whole(ge=1)
)
