"""The record of a config, `config.epsilon`: made by pydantic from the table of keys."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model

from utils.config.keys import Key
from utils.config.kinds import LARGEST, label


class Config(Mapping, BaseModel, extra="forbid", frozen=True, strict=True):
    """The values of all keys of a script; cannot be changed, and is also a mapping by name."""

    if TYPE_CHECKING:  # the fields are those of the table

        def __getattr__(self, name: str) -> Any: ...

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __or__(self, changes: Mapping[str, Any]) -> Self:
        return self.model_copy(update=changes)


def read(written: Mapping[str, Any], known: Mapping[str, Key]) -> tuple[Config | None, list[str]]:
    """Return the record of the `known` keys, with defaults, or None; and the problems found."""
    values = {name: written[name] for name in known if name in written}
    try:
        return _record_of(tuple(known.values()))(**values), []
    except ValidationError as error:
        wrong = dict.fromkeys(str(found["loc"][0]) for found in error.errors())
    return None, [
        _wrong(name, written[name], known[name])
        if name in written
        else f"key '{name}' is missing ({known[name].help})"
        for name in wrong
    ]


def _wrong(name: str, value: Any, key: Key) -> str:
    limit = " below 2**31" if isinstance(value, int | float) and value > LARGEST else ""
    shown = " ".join(repr(value).split())
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    quotes = f" (as text: {name}='\"{shown}\"')" if is_number and _takes(key.kind, shown) else ""
    return f"'{name}' must be {label(key.kind)}{limit}, not {shown}{quotes}"


def _takes(kind: Any, text: str) -> bool:
    with contextlib.suppress(ValidationError):
        return TypeAdapter(kind).validate_python(text) == text
    return False


@functools.cache
def _record_of(known: tuple[Key, ...]) -> type[Config]:
    fields: dict[str, Any] = {
        key.name: (key.kind, Field(key.default, description=key.help)) for key in known
    }
    return create_model("Config", __base__=Config, **fields)
