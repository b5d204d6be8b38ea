"""The rows of a raw batch while its columns become canonical: converted, and counted where they are wrong."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset import features, times
from dataset.contract import MISSING_IDS, EventsTable, ItemsTable, JudgmentsTable, Range
from dataset.delimited import has_decimal_commas
from dataset.errors import DataError
from dataset.files import shown
from dataset.findings import NUM_EXAMPLES, Example, Finding, Findings
from dataset.values import (
    as_labels,
    as_numbers,
    as_text,
    as_values,
    in_one_line,
    is_list,
    with_decimal_points,
)

Mask = np.ndarray[Any, Any]

_NULL_ID = pa.scalar(None, pa.string())
_NO_TIME = pa.array(["", *MISSING_IDS])
_YES = pa.array(["true", "yes", "y", "t", "1", "in stock", "in_stock", "available"])
_NO = pa.array(["false", "no", "n", "f", "0", "out of stock", "out_of_stock", "unavailable"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Where:
    """Where a batch comes from: its file, and its first row as `tables.read_batches` counts."""

    file: str
    first_row: int


class Normalised(NamedTuple):
    """A canonical batch.

    Attributes:
        batch: The rows that can be used.
        rows: int64 `[batch.num_rows]`, the number of each in its file.
        findings: What was wrong, over all rows that came in.
    """

    batch: pa.RecordBatch
    rows: np.ndarray[Any, Any]
    findings: Findings


class RawRows:
    """The rows of one raw batch while their columns are being converted.

    Args:
        table: Its name, for findings.
        batch: As it was read.
        where: Where it comes from.
        missing_ids: The words that are no ids.
    """

    def __init__(self, table: str, batch: pa.RecordBatch, where: Where, missing_ids: tuple[str, ...]) -> None:
        self._table, self._batch, self._where = table, batch, where
        self._missing_ids = pa.array(missing_ids, pa.string())
        self._keep = np.ones(batch.num_rows, bool)
        self._findings: list[Finding] = []

    def normalised(self, columns: Mapping[str, pa.Array]) -> Normalised:
        rows = np.arange(self._batch.num_rows, dtype=np.int64) + self._where.first_row
        batch = pa.record_batch(list(columns.values()), names=list(columns))
        if not self._keep.all():
            batch = batch.filter(pa.array(self._keep))
        found = Findings(rows={self._table: self._batch.num_rows}, findings=tuple(self._findings))
        return Normalised(batch, rows[self._keep], found)

    def find(self, rule: str, column: str, expected: str, mask: Mask, *, drop: bool = False) -> None:
        """Counts the rows in `mask` as breaking a rule, and leaves them out if `drop`."""
        if not mask.any():
            return
        positions = np.flatnonzero(mask)
        raw = self._batch.column(column)
        examples = tuple(
            Example(
                file=shown(self._where.file),
                row=int(position) + self._where.first_row,
                value=_as_shown(raw[int(position)].as_py()),
            )
            for position in positions[:NUM_EXAMPLES]
        )
        self._findings.append(
            Finding(
                rule=rule,
                table=self._table,
                column=column,
                expected=expected,
                count=len(positions),
                examples=examples,
            )
        )
        if drop:
            self._keep &= ~mask

    def ids(self, column: str) -> pa.StringArray:
        """Ids, null where missing; rows without one are left out."""
        return self._required(column, self._ids(column), "hold an id")

    def optional_ids(self, column: str) -> pa.StringArray:
        """Ids, "" where missing."""
        return self._ids(column).fill_null("")

    def query_texts(self, column: str) -> pa.StringArray:
        """Texts, null where missing; rows without one are left out."""
        return self._required(column, self.labels(column), "not be empty")

    def _ids(self, column: str) -> pa.StringArray:
        ids = self.labels(column)
        return pc.if_else(pc.is_in(ids, self._missing_ids), _NULL_ID, ids)

    def _required(self, column: str, ids: pa.StringArray, expected: str) -> pa.StringArray:
        self.find("missing_ids", column, expected, as_mask(ids.is_null()), drop=True)
        return ids

    def labels(self, column: str) -> pa.StringArray:
        """Short names as text, null where empty."""
        self._require_single(column, "it is compared as a whole", "keep one of them in a column of its own")
        return self._converted(as_labels, column, "text in UTF-8")

    def label_texts(self, column: str) -> pa.StringArray:
        """Optional names, "" where missing."""
        return self.labels(column).fill_null("")

    def texts(self, column: str) -> pa.StringArray:
        """Free text, "" where missing."""
        return self._converted(as_text, column, "text in UTF-8").fill_null("")

    def category(self, column: str) -> pa.StringArray:
        """One category a row, "" where missing, in one line, as its vocabulary has a value a line."""
        self._require_single(
            column, "a user's category is one value", "keep one of them in a column of its own"
        )
        return in_one_line(self.texts(column))

    def categories(
        self, column: str, separator: str | None = None, *, strip_markup: bool = False
    ) -> pa.ListArray:
        """The categories of each row, as `values.as_values` has them; it has the arguments too."""
        convert = functools.partial(as_values, separator=separator, strip_markup=strip_markup)
        return self._converted(convert, column, "text in UTF-8")

    def numbers(self, column: str, range_: Range) -> pa.FloatArray:
        """float32 numbers, null where missing, not a finite number, or out of range."""
        values, given = self._converted(self._as_numbers, column, "numbers")
        finite = np.isfinite(values)
        self.find("bad_numbers", column, "be a finite number", given & ~finite)
        low, high = range_.min, range_.max
        outside = np.zeros(len(values), bool)
        if low is not None:
            outside |= finite & (values < np.float32(low))
        if high is not None:
            outside |= finite & (values > np.float32(high))
        self.find("out_of_range", column, _range_rule(range_), outside)
        return pa.array(values, pa.float32(), mask=~finite | outside)

    def _as_numbers(self, raw: pa.Array) -> tuple[np.ndarray[Any, Any], Mask]:
        return as_numbers(with_decimal_points(raw) if has_decimal_commas(self._batch.schema) else raw)

    def flags(self, column: str) -> pa.Int64Array:
        """int64 1 or 0; missing is 1, as a catalogue without the column is all available."""
        labels = pc.utf8_lower(self.label_texts(column))
        yes, no = as_mask(pc.is_in(labels, _YES)), as_mask(pc.is_in(labels, _NO))
        unknown = ~yes & ~no & ~as_mask(pc.equal(labels, ""))
        self.find("unknown_values", column, "be true or false", unknown)
        return pa.array(np.where(no, 0, 1).astype(np.int64))

    def times_of_availability(self, table: ItemsTable) -> dict[str, pa.Int64Array]:
        """int64 epoch seconds of each end that the manifest names, the first or last there is if missing."""
        found, start, end = {}, table.available_from, table.available_until
        if start is not None:
            found[features.AVAILABLE_FROM] = self._bounds(start, times.FIRST)
        if end is not None:
            found[features.AVAILABLE_UNTIL] = self._bounds(end, times.LAST)
        if start is not None and end is not None:
            is_reversed = pc.less_equal(found[features.AVAILABLE_UNTIL], found[features.AVAILABLE_FROM])
            self.find("reversed_times", end, f"be after {start}", as_mask(is_reversed))
        return found

    def _bounds(self, column: str, missing: int) -> pa.Int64Array:
        given = ~as_mask(pc.is_in(self.label_texts(column), _NO_TIME))
        parsed = times.parse_times(self._batch.column(column))
        self.find("bad_times", column, f"{times.EXPECTED}, or empty", given & ~parsed.is_time)
        # The last year there is means never, whatever it is written as.
        is_unlikely = parsed.is_unlikely & (parsed.seconds < times.LAST_YEAR)
        self.find("unlikely_times", column, times.LIKELY, given & is_unlikely)
        return pa.array(np.where(given & parsed.is_time, parsed.seconds, missing))

    def kinds(self, table: EventsTable) -> tuple[pa.StringArray, pa.FloatArray]:
        """The label and the weight of each event's kind."""
        rule = table.kind
        num_rows = self._batch.num_rows
        if rule.column is None:
            (kind,) = rule.kinds.values()
            return pa.repeat(kind.label, num_rows), pa.repeat(pa.scalar(kind.weight, pa.float32()), num_rows)
        if not rule.kinds:
            labels = self.labels(rule.column)
            self.find("unknown_kinds", rule.column, "not be empty", as_mask(labels.is_null()), drop=True)
            return labels, pa.repeat(pa.scalar(1.0, pa.float32()), num_rows)
        labels = self.lookup(
            "unknown_kinds", rule.column, {name: kind.label for name, kind in rule.kinds.items()}
        )
        weights = pa.array([kind.weight for kind in rule.kinds.values()], pa.float32())
        return labels, weights.take(pc.index_in(self.labels(rule.column), pa.array(list(rule.kinds))))

    def grades(self, table: JudgmentsTable) -> pa.FloatArray:
        """float32 gains; rows without one are left out."""
        rule = table.grade
        if rule.gains:
            names = pa.array(list(rule.gains))
            gains = pa.array(list(rule.gains.values()), pa.float32())
            grades = gains.take(pc.index_in(self.labels(rule.column), names))
            expected = f"be one of {', '.join(rule.gains)}"
        else:
            grades = self.numbers(rule.column, Range(min=0.0))
            expected = "be a number of at least 0"
        self.find("unknown_grades", rule.column, expected, as_mask(grades.is_null()), drop=True)
        return grades

    def lookup(self, rule: str, column: str, names: Mapping[str, str]) -> pa.StringArray:
        """The name each value stands for; rows with another value are left out."""
        positions = pc.index_in(self.labels(column), pa.array(list(names)))
        expected = f"be one of {', '.join(names)}"
        self.find(rule, column, expected, as_mask(positions.is_null()), drop=True)
        return pa.array(list(names.values())).take(positions)

    def _require_single(self, column: str, reason: str, way_out: str) -> None:
        if is_list(self._batch.schema.field(column).type):
            raise DataError(
                f'{shown(self._where.file)}: column "{column}" must hold one value in each row, as {reason}. '
                f"Got lists of values; {way_out}."
            )

    def _converted(self, convert: Callable[[pa.Array], Any], column: str, expected: str) -> Any:
        raw = self._batch.column(column)
        try:
            return convert(raw)
        except (TypeError, pa.ArrowInvalid):
            place, value = _odd_value(raw)
            raise DataError(
                f"{shown(self._where.file)}, row {place + self._where.first_row}: "
                f'column "{column}" must hold {expected}. Got {_as_shown(value)}.'
            ) from None


def as_mask(column: pa.Array) -> Mask:
    """The values of a column of truth values, bool `[n]`, false where null."""
    return column.fill_null(False).to_numpy(zero_copy_only=False)


def _range_rule(range_: Range) -> str:
    if range_.min is None and range_.max is None:
        return "be a number"
    if range_.min is None:
        return f"be at most {range_.max:g}"
    return f"be at least {range_.min:g}" + ("" if range_.max is None else f" and at most {range_.max:g}")


def _odd_value(column: pa.Array) -> tuple[int, Any]:
    """The place of a value that made a column one of the wrong type, and the value.

    It is the first object or list in a list, or if there is none, the first value.
    """
    given = [(place, _plain(value)) for place, value in enumerate(column.to_pylist()) if value is not None]
    nested = (pair for pair in given if _is_nested(pair[1]))
    return next(nested, given[0] if given else (0, column.type))


def _plain(value: Any) -> Any:
    """A value as it was in the file: those of several kinds came as JSON texts."""
    return json.loads(value["json"]) if isinstance(value, dict) and value.keys() == {"json"} else value


def _is_nested(value: Any) -> bool:
    parts = value if isinstance(value, list) else []
    return isinstance(value, dict) or any(isinstance(part, dict | list) for part in parts)


def _as_shown(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
