"""Rows that say again what an earlier row of their table said, found by a 64-bit hash of what they say."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from dataset.contract import EventsTable, JudgmentsTable
from dataset.files import shown
from dataset.findings import NUM_EXAMPLES, Example, Finding

Array = np.ndarray[Any, Any]

# Of a longer log only the events of some moments are held against each other, and the count is an estimate.
_MAX_HELD = 1 << 23
_MOMENT_BITS = 8
_HASHED_ROWS = 1 << 15


class _Part(NamedTuple):
    """What is held of a batch: its file, and of each row the number, the hash and, if judged, the grade."""

    file: str
    rows: Array
    hashes: Array
    grades: Array


class RepeatedEvents:
    """Counts the events whose user, item, time and kind are those of an earlier one."""

    def __init__(self, table: EventsTable) -> None:
        self._table = table
        self._parts: list[_Part] = []
        self._num_held = self._halvings = 0

    def add(self, file: str, rows: Array, times: Array, *said: Array) -> None:
        """Takes in a batch.

        Args:
            file: Its file.
            rows: int64 `[n]`, the number of each event.
            times: int64 `[n]` epoch seconds.
            said: int64 `[n]` codes or `text_hashes` of what else there is to be told apart.
        """
        moments = _hashes(times)
        # So that the hash alone says whether its moment is among those that are held.
        low = np.uint64((1 << _MOMENT_BITS) - 1)
        hashes = (_hashes(times, *said) & ~low) | (moments & low)
        self._parts.append(self._held(_Part(file, rows.astype(np.uint32), hashes, np.zeros(0))))
        self._num_held += len(self._parts[-1].rows)
        while self._num_held > _MAX_HELD and self._halvings < _MOMENT_BITS:
            self._halvings += 1
            self._parts = [self._held(part) for part in self._parts]
            self._num_held = sum(len(part.rows) for part in self._parts)

    def _held(self, part: _Part) -> _Part:
        if not self._halvings:
            return part
        keep = part.hashes & np.uint64((1 << self._halvings) - 1) == 0
        return part._replace(rows=part.rows[keep], hashes=part.hashes[keep])

    def findings(self) -> tuple[Finding, ...]:
        """The repeated events, if there are any."""
        rows = _Rows(self._parts)
        return _finding(
            "duplicate_events",
            "events",
            self._table.item,
            "not repeat the user, item, time and kind of an earlier row",
            len(rows.repeats) << self._halvings,
            [
                rows.example(i, f"as in {rows.where(rows.firsts[i])}")
                for i in rows.earliest(rows.repeats >= 0)
            ],
        )


class RepeatedJudgments:
    """Counts the judgments of a query and item that were judged before, and those that say another grade."""

    def __init__(self, table: JudgmentsTable) -> None:
        self._table = table
        self._parts: list[_Part] = []

    def add(self, file: str, rows: Array, grades: Array, *said: Array) -> None:
        """Takes in a batch.

        Args:
            file: Its file.
            rows: int64 `[n]`, the number of each judgment.
            grades: float32 `[n]`.
            said: int64 `[n]` codes or `text_hashes` of the query and of the item.
        """
        self._parts.append(_Part(file, rows.astype(np.uint32), _hashes(*said), grades))

    def findings(self) -> tuple[Finding, ...]:
        """The repeated judgments and the contradicting ones, if there are any."""
        rows = _Rows(self._parts)
        grades = np.concatenate([np.zeros(0), *(part.grades for part in self._parts)])
        contradicts = grades[rows.repeats] != grades[rows.firsts]
        repeated = _finding(
            "duplicate_judgments",
            "judgments",
            self._table.item,
            "not repeat the query and item of an earlier row",
            len(rows.repeats),
            [
                rows.example(i, f"as in {rows.where(rows.firsts[i])}")
                for i in rows.earliest(rows.repeats >= 0)
            ],
        )
        contradicting = _finding(
            "contradicting_judgments",
            "judgments",
            self._table.grade.column,
            "give a query and item one grade, of which the highest counts",
            int(contradicts.sum()),
            [
                rows.example(i, f"{grades[again]:g}, and {grades[first]:g} in {rows.where(first)}")
                for i in rows.earliest(contradicts)
                for first, again in [(rows.firsts[i], rows.repeats[i])]
            ],
        )
        return repeated + contradicting


class _Rows:
    """All rows that are held, with those that repeat another.

    Attributes:
        repeats: int64 `[num_repeats]`, the positions of rows that say what an earlier one says.
        firsts: int64 `[num_repeats]`, the positions of the first that said it.
    """

    def __init__(self, parts: list[_Part]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part.rows) for part in parts)])
        hashes = np.concatenate([np.zeros(0, np.uint64), *(part.hashes for part in parts)])
        order = _positions_of_repeated(hashes)
        order = order[np.argsort(hashes[order], kind="stable")]
        is_repeat = np.diff(hashes[order], prepend=~hashes[order[:1]]) == 0
        first_of = np.maximum.accumulate(np.where(is_repeat, 0, np.arange(len(order))))
        self.repeats = order[is_repeat]
        self.firsts = order[first_of[is_repeat]]

    def earliest(self, mask: Array) -> Array:
        """The indices of the first repeats in a mask, bool `[num_repeats]`, by where they stand."""
        found = np.flatnonzero(mask)
        return found[np.argsort(self.repeats[found], kind="stable")[:NUM_EXAMPLES]]

    def _place(self, position: int) -> tuple[str, int]:
        part = int(np.searchsorted(self._starts, position, side="right")) - 1
        return shown(self._parts[part].file), int(self._parts[part].rows[position - self._starts[part]])

    def where(self, position: int) -> str:
        """The file and row of a row, in words."""
        file, row = self._place(position)
        return f"row {row}" if len({part.file for part in self._parts}) == 1 else f"{file}, row {row}"

    def example(self, index: int, value: str) -> Example:
        """A repeat as an example of a finding."""
        file, row = self._place(int(self.repeats[index]))
        return Example(file=file, row=row, value=value)


def _positions_of_repeated(hashes: Array) -> Array:
    """int64 `[m]`, where the hashes are that come more than once, in order."""
    # To sort is ten times as fast as to find the order, and most tables repeat nothing.
    ordered = np.sort(hashes)
    repeated = ordered[1:][np.diff(ordered) == 0]
    return np.flatnonzero(np.isin(hashes, repeated)) if len(repeated) else np.zeros(0, np.int64)


def _finding(
    rule: str, table: str, column: str, expected: str, count: int, examples: list[Example]
) -> tuple[Finding, ...]:
    if not count:
        return ()
    return (
        Finding(
            rule=rule, table=table, column=column, expected=expected, count=count, examples=tuple(examples)
        ),
    )


def text_hashes(column: pa.StringArray) -> Array:
    """int64 `[n]` hashes of texts, none of them null: of 64 bits, so that two texts have two."""
    # A part at a time, as there are 8 bytes for each byte of text.
    parts = [_text_hashes(column.slice(start, _HASHED_ROWS)) for start in range(0, len(column), _HASHED_ROWS)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _text_hashes(column: pa.StringArray) -> Array:
    _, offsets_buffer, data = column.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[column.offset : column.offset + len(column) + 1]
    offsets = offsets.astype(np.int64)
    if offsets[-1] == offsets[0]:
        return np.zeros(len(column), np.int64)
    text = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    offsets -= offsets[0]
    lengths = np.diff(offsets)
    places = np.arange(len(text)) - np.repeat(offsets[:-1], lengths)
    weights = _mixed(np.arange(lengths.max(), dtype=np.uint64))
    terms = weights[places] * (text + np.uint64(1))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms)])
    return _mixed(sums[offsets[1:]] - sums[offsets[:-1]]).view(np.int64)


def _hashes(*columns: Array) -> Array:
    """uint64 `[n]` hashes of rows of int64 `[n]` columns."""
    hashes = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        hashes = _mixed(hashes ^ column.view(np.uint64))
    return hashes


def _mixed(values: Array) -> Array:
    """Splitmix64 (Steele, Lea and Flood 2014), which spreads each bit over all."""
    values += np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
