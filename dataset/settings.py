"""Settings: frozen dataclasses of typed values, read from the tables that people write or kept as JSON.

A dataclass is one section. It checks its own values in ``__post_init__``, with `require`. `section_of` reads
what a person wrote, and what ``dataclasses.asdict`` makes of a section.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from dataset.errors import DataError
from dataset.section import nearest

Settings = TypeVar("Settings")


def require(holds: bool, rule: str, got: Any) -> None:
    """Holds a value against a rule.

    Raises:
        DataError: If it does not hold.
    """
    if not holds:
        raise DataError(f"configuration: {rule}. Got {got!r}.")


def section_of(cls: type[Settings], name: str, table: Any) -> Settings:
    """Builds a section from a table.

    Args:
        cls: Its dataclass.
        name: Its full name, for errors.
        table: Values by key; a nested dataclass is a nested table.

    Raises:
        DataError: If it is no table, a key is unknown, or a value has the wrong type or breaks a rule.
    """
    if not isinstance(table, Mapping):
        raise DataError(f"configuration: {name} must be a table. Got {table!r}.")
    hints = get_type_hints(cls)
    for key in table:
        if key not in hints:
            raise DataError(f'configuration: unknown key "{name}.{key}"; {nearest(key, hints)}')
    return cls(**{key: _typed(hints[key], f"{name}.{key}", value) for key, value in table.items()})


def _typed(kind: Any, key: str, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise DataError(f"configuration: {key} must be a list of text. Got {value!r}.")
        return tuple(value)
    if get_origin(kind) is Mapping:
        if not isinstance(value, Mapping):
            raise DataError(f"configuration: {key} must be a table. Got {value!r}.")
        return {name: _typed(get_args(kind)[1], f"{key}.{name}", entry) for name, entry in value.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return section_of(kind, key, value)
    if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind):
        raise DataError(f"configuration: {key} must be {kind.__name__}. Got {value!r}.")
    return value
