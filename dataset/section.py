"""Tables of a configuration file, read so that every mistake is named with its file and key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dataset.errors import DataError


def nearest(name: str, known: Iterable[str]) -> str:
    """The clause of an error that names the known name closest to a wrong one, or all if none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f'did you mean "{close[0]}"?' if close else f"known are {', '.join(names)}."


class Section:
    """One table of a configuration file, read key by key; every complaint names the file and the full key.

    Args:
        value: The table, as parsed from TOML or JSON.
        file: The name of the file, for errors.
        name: The table's own full name; empty for the whole document.
        known: The keys it may have. Empty allows any.

    Raises:
        DataError: `value` is not a table, or has a key that is not known. So does every getter below for a
            value of the wrong kind.
    """

    def __init__(self, value: Any, file: str, name: str, known: Iterable[str]) -> None:
        if not isinstance(value, Mapping):
            raise DataError(f"{file}: {name or 'the manifest'} must be a table. Got {value!r}.")
        self._file, self._name = file, name
        # None stands for an absent key in the JSON form of a manifest.
        self._values = {key: entry for key, entry in value.items() if entry is not None}
        known = tuple(known)
        for key in self._values:
            if known and key not in known:
                raise DataError(f'{file}: unknown key "{self._full(key)}"; {nearest(key, known)}')

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def error(self, key: str, rule: str) -> DataError:
        """The error that says `key` breaks `rule`, with the value it has."""
        got = repr(self._values[key]) if key in self._values else "nothing"
        return DataError(f"{self._file}: {self._full(key)} {rule}. Got {got}.")

    def value(self, key: str) -> Any:
        """The value as it is, ``None`` when absent."""
        return self._values.get(key)

    def section(self, key: str, known: Iterable[str] = ()) -> Section:
        """The table under `key`, empty when absent. An empty `known` allows any key."""
        return Section(self._values.get(key, {}), self._file, self._full(key), known)

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self._values.get(key)
        if not isinstance(value, str) or not value:
            raise self.error(key, "must be a string")
        return value

    def optional_text(self, key: str) -> str | None:
        """The same, or ``None`` when absent."""
        return self.text(key) if key in self else None

    def texts(self, key: str, *, at_least: int = 0) -> tuple[str, ...]:
        """A list of distinct strings; one string stands for a list of one."""
        value = self._values.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
            raise self.error(key, "must be a string or a list of strings")
        if len(values) < at_least:
            raise self.error(key, "must name at least one")
        if len(set(values)) < len(values):
            raise self.error(key, "must not repeat a name")
        return tuple(values)

    def number(self, key: str, default: float | None = None) -> float:
        """A number, integer or not."""
        value = self._values.get(key, default)
        # A bool is an int to Python, not to the person who wrote it.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, "must be a number")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def share(self, key: str, default: float) -> float:
        """A number from 0 to 1."""
        value = self.number(key, default)
        if not 0 <= value <= 1:
            raise self.error(key, "must be a share from 0 to 1")
        return value
