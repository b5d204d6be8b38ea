"""The profile of an unknown table: the look of its columns in its first rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset.tables import read_batches
from dataset.times import parse_times
from dataset.values import as_labels, as_numbers

SAMPLE_ROWS = 50_000
_FLAGS = {"true", "false", "yes", "no", "y", "n", "1", "0"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column of the sample.

    Attributes:
        name: As in the file.
        num_given: Rows with a value.
        distinct: The different values as text; string `[num_distinct]`, most frequent first.
        is_number: Every value is a finite number.
        is_time: Every value is a time, and not just a number.
        mean_words: Words in a value.
        mean_chars: Characters in a value.
    """

    name: str
    num_given: int
    distinct: pa.StringArray
    is_number: bool
    is_time: bool
    mean_words: float
    mean_chars: float

    @property
    def repeats(self) -> bool:
        """Whether the column groups rows: values come back often enough."""
        return len(self.distinct) <= 0.8 * self.num_given

    @property
    def is_text(self) -> bool:
        """Whether people wrote it to be read: several words, and not the same few values again and again."""
        is_varied = len(self.distinct) > 0.5 * self.num_given
        return is_varied and not self.is_number and not self.is_time and self.mean_words >= 2

    @property
    def is_flag(self) -> bool:
        """Whether it only says yes or no."""
        return {value.lower() for value in self.distinct[:5].to_pylist()} <= _FLAGS and len(self.distinct) > 0

    def says(self, *words: str) -> bool:
        """Whether the column's name contains one of the words."""
        return contains(self.name, words)

    def overlap(self, key: ColumnProfile) -> float:
        """The share of this column's values that are values of the key, from 0 to 1."""
        if not len(self.distinct):
            return 0.0
        return float(pc.mean(pc.is_in(self.distinct, key.distinct)).as_py())


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableProfile:
    """The sample of one table, which may be in several files with the same columns."""

    files: tuple[str, ...]
    num_rows: int
    columns: tuple[ColumnProfile, ...]

    @property
    def key(self) -> ColumnProfile | None:
        """The column that tells rows apart: never empty or repeated, a name rather than a text or a time."""
        for column in self.columns:
            is_unique = len(column.distinct) == column.num_given == self.num_rows
            if is_unique and self.num_rows > 1 and column.mean_words < 2 and not column.is_time:
                return column
        return None

    def find(self, *words: str) -> ColumnProfile | None:
        """The first column with one of the words in its name, the words in order of preference."""
        for word in words:
            for column in self.columns:
                if column.says(word):
                    return column
        return None

    def says(self, *words: str) -> bool:
        """Whether the name of its first file contains one of the words."""
        return contains(re.split(r"[/\\]", self.files[0])[-1], words)


def contains(name: str, words: Sequence[str]) -> bool:
    """Whether a name has one of the words in it, whatever its case and spelling."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return any(word in plain for word in words)


def profile_table(files: Sequence[str]) -> TableProfile:
    """Looks at the first `SAMPLE_ROWS` rows.

    Raises:
        DataError: A file cannot be read.
    """
    parts: dict[str, list[_Part]] = {}
    num_rows = 0
    for file in files:
        for _, batch in read_batches(file):
            batch = batch.slice(0, SAMPLE_ROWS - num_rows)
            num_rows += batch.num_rows
            for name in batch.schema.names:
                part = _part(name, batch.column(name))
                if part is not None:
                    parts.setdefault(name, []).append(part)
            if num_rows >= SAMPLE_ROWS:
                break
        if num_rows >= SAMPLE_ROWS:
            break
    columns = tuple(_column(name, found) for name, found in parts.items())
    return TableProfile(files=tuple(files), num_rows=num_rows, columns=columns)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Part:
    """One column of one batch: its values that are given, and whether all of them are numbers, times."""

    values: pa.StringArray
    is_number: bool
    is_time: bool


def _part(name: str, column: pa.Array) -> _Part | None:
    try:
        labels = as_labels(column)
    except (TypeError, pa.ArrowInvalid):
        # Objects and bytes are nothing a manifest can name.
        return None
    values = labels.drop_null()
    is_time = pa.types.is_temporal(column.type)
    is_number = False
    if not is_time:
        numbers, given = as_numbers(labels)
        is_number = bool(np.isfinite(numbers[given]).all())
        # A number is a time only where the name says so and it is of this age.
        may_be_time = not is_number or (
            contains(name, ("time", "date", "stamp")) and bool((numbers[given] > 1e8).all())
        )
        is_time = may_be_time and bool(parse_times(values).is_time.all())
    return _Part(values=values, is_number=is_number and not is_time, is_time=is_time)


def _column(name: str, parts: list[_Part]) -> ColumnProfile:
    values = pa.concat_arrays([part.values for part in parts])
    counts = values.value_counts()
    order = np.argsort(-counts.field("counts").to_numpy(), kind="stable")
    words = pc.add(pc.count_substring_regex(values, r"\s+"), 1)
    filled = [part for part in parts if len(part.values)]
    return ColumnProfile(
        name=name,
        num_given=len(values),
        distinct=counts.field("values").take(pa.array(order)),
        is_number=bool(filled) and all(part.is_number for part in filled),
        is_time=bool(filled) and all(part.is_time for part in filled),
        mean_words=pc.mean(words).as_py() or 0.0,
        mean_chars=pc.mean(pc.utf8_length(values)).as_py() or 0.0,
    )
