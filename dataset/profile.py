"""The profile of an unknown table: the look of its columns in its first rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset.delimited import has_decimal_commas
from dataset.tables import read_batches
from dataset.times import parse_times
from dataset.values import as_labels, as_numbers, is_list, with_decimal_points

SAMPLE_ROWS = 50_000
# Of a column of times, as few as this may be something else.
_MIN_TIMES = 0.95
_TIME_WORDS = ("time", "date", "stamp")
_SHORT_TIME_WORDS = {"ts", "dt", "dat", "day", "at", "when"}
_COMPACT_DATE = r"^(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
_LEADING_ZERO = r"^[+-]?0\d"
_FLAGS = {"true", "false", "yes", "no", "y", "n", "1", "0"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column of the sample.

    Attributes:
        name: As in the file.
        num_given: Rows with a value.
        distinct: The different values as text; string `[num_distinct]`, most frequent first.
        is_number: Every value is a finite number, and none has zeros in front, as names of digits may.
        is_time: Nearly every value is a time, and not just a number.
        is_list: Rows have lists of values.
        mean_words: Words in a value.
        mean_chars: Characters in a value.
    """

    name: str
    num_given: int
    distinct: pa.StringArray
    is_number: bool
    is_time: bool
    is_list: bool = False
    mean_words: float
    mean_chars: float

    @property
    def distinctness(self) -> float:
        """The share of the values that are different, from 0 to 1."""
        return len(self.distinct) / max(self.num_given, 1)

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

    @property
    def is_link(self) -> bool:
        """Whether it holds addresses of pages or pictures."""
        values = self.distinct[:5].to_pylist()
        return bool(values) and all(re.match(r"https?://|//", value) for value in values)

    @property
    def says_time(self) -> bool:
        """Whether the column's name is that of a time."""
        words = re.findall(r"[a-z]+|[A-Z][a-z]*", self.name)
        return self.says(*_TIME_WORDS) or not _SHORT_TIME_WORDS.isdisjoint(map(str.lower, words))

    def overlap(self, key: ColumnProfile) -> float:
        """The share of this column's values that are values of the key, from 0 to 1."""
        if not len(self.distinct):
            return 0.0
        return float(pc.mean(pc.is_in(self.distinct, key.distinct)).as_py())


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableProfile:
    """The sample of one table, which may be in several files with the same columns.

    Attributes:
        files: Its files.
        paths: As a manifest beside them names them; a folder of parts is one.
        num_rows: Rows of the sample.
        columns: Those that a manifest can name.
    """

    files: tuple[str, ...]
    paths: tuple[str, ...]
    num_rows: int
    columns: tuple[ColumnProfile, ...]

    @property
    def key(self) -> ColumnProfile | None:
        """The column that tells rows apart: never empty or repeated, a name rather than a text or a time."""
        for column in self.columns:
            is_unique = len(column.distinct) == column.num_given == self.num_rows
            is_name = column.mean_words < 2 and not column.is_time and not column.is_list
            if is_unique and self.num_rows > 1 and is_name:
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
        """Whether its first path contains one of the words."""
        return contains(self.paths[0], words)


def contains(name: str, words: Sequence[str]) -> bool:
    """Whether a name has one of the words in it, whatever its case and spelling."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return any(word in plain for word in words)


def profile_table(files: Sequence[str], paths: Sequence[str]) -> TableProfile:
    """Looks at the first `SAMPLE_ROWS` rows.

    Args:
        files: Of one table.
        paths: As a manifest beside them names them.

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
                part = _part(batch, name)
                if part is not None:
                    parts.setdefault(name, []).append(part)
            if num_rows >= SAMPLE_ROWS:
                break
        if num_rows >= SAMPLE_ROWS:
            break
    columns = tuple(_column(name, found) for name, found in parts.items())
    return TableProfile(files=tuple(files), paths=tuple(paths), num_rows=num_rows, columns=columns)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Part:
    """One column of one batch: its values that are given, and what all of them, or how many, are."""

    values: pa.StringArray
    is_number: bool
    has_zeros: bool
    is_date: bool
    is_list: bool
    num_times: int


def _part(batch: pa.RecordBatch, name: str) -> _Part | None:
    column = batch.column(name)
    try:
        labels = as_labels(column)
    except (TypeError, pa.ArrowInvalid):
        # Objects and bytes are nothing a manifest can name.
        return None
    if has_decimal_commas(batch.schema):
        labels = with_decimal_points(labels)
    values = labels.drop_null()
    numbers, given = as_numbers(labels)
    is_temporal = pa.types.is_temporal(column.type)
    parsed = parse_times(column.drop_null() if is_temporal else values)
    return _Part(
        values=values,
        is_number=not is_temporal and bool(np.isfinite(numbers[given]).all()),
        has_zeros=bool(pc.any(pc.match_substring_regex(values, _LEADING_ZERO)).as_py()),
        is_date=is_temporal or bool(pc.all(pc.match_substring_regex(values, _COMPACT_DATE)).as_py()),
        is_list=is_list(column.type),
        num_times=int((parsed.is_time & ~parsed.is_unlikely).sum()),
    )


def _column(name: str, parts: list[_Part]) -> ColumnProfile:
    values = pa.concat_arrays([part.values for part in parts])
    counts = values.value_counts()
    order = np.argsort(-counts.field("counts").to_numpy(), kind="stable")
    words = pc.add(pc.count_substring_regex(values, r"\s+"), 1)
    filled = [part for part in parts if len(part.values)]
    is_number = bool(filled) and all(part.is_number for part in filled)
    profile = ColumnProfile(
        name=name,
        num_given=len(values),
        distinct=counts.field("values").take(pa.array(order)),
        is_number=is_number and not any(part.has_zeros for part in filled),
        is_time=False,
        is_list=any(part.is_list for part in parts),
        mean_words=pc.mean(words).as_py() or 0.0,
        mean_chars=pc.mean(pc.utf8_length(values)).as_py() or 0.0,
    )
    # Prices and counts may be numbers of seconds too, so that a number needs the name of a time as well.
    may_be_time = not is_number or profile.says_time or all(part.is_date for part in filled)
    num_times = sum(part.num_times for part in parts)
    if may_be_time and not profile.is_list and len(values) and num_times >= _MIN_TIMES * len(values):
        return dataclasses.replace(profile, is_time=True, is_number=False)
    return profile
