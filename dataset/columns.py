"""Canonical columns: a batch as its file has it becomes one with our names, types and units.

Pure functions over Arrow arrays, one batch in and one out, with what is wrong in it counted: they run on any
worker.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset import times
from dataset.contract import EventsTable, ItemsTable, JudgmentsTable, Range, UsersTable
from dataset.delimited import has_decimal_commas
from dataset.errors import DataError
from dataset.files import OnBytes, OnLines, shown
from dataset.findings import NUM_EXAMPLES, Example, Finding, Findings
from dataset.manifest import Manifest
from dataset.tables import expand_paths, read_batches
from dataset.values import as_labels, as_numbers, as_text, is_list, with_decimal_points

Mask = np.ndarray[Any, Any]

_NULL_ID = pa.scalar(None, pa.string())

# Hash tables over the catalogue are built anew for each batch, so batches are large here.
_BATCH_ROWS = 1 << 18

_YES = pa.array(["true", "yes", "y", "t", "1", "in stock", "in_stock", "available"])
_NO = pa.array(["false", "no", "n", "f", "0", "out of stock", "out_of_stock", "unavailable"])
_SPLIT_NAMES = {"train": "train", "validation": "validation", "test": "test"} | dict.fromkeys(
    ("valid", "val", "dev"), "validation"
)


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryTexts:
    """A table of queries: string `[n]` ids and string `[n]` texts."""

    ids: pa.StringArray
    texts: pa.StringArray


def normalise_items(batch: pa.RecordBatch, table: ItemsTable, where: Where) -> Normalised:
    """Makes items canonical.

    They have `item_id` string, the text, categorical and code columns under their own names (string, "" for
    null), the numeric ones (float32, null where unknown or wrong), and, if the manifest names such a column,
    `available` (int64, 1 or 0).

    Raises:
        DataError: A column has a type that cannot be what the manifest says.
    """
    rows = _Rows("items", batch, where, table.missing_ids)
    columns = {"item_id": rows.ids(table.id)}
    for name in table.text:
        columns[name] = rows.texts(name)
    for name in table.categorical:
        columns[name] = rows.categories(name)
    for name in table.codes:
        if name not in columns:
            columns[name] = rows.label_texts(name)
    is_empty = np.logical_and.reduce([_mask(pc.equal(columns[name], "")) for name in table.text])
    rows.find("empty_text", table.text[0], "have text in at least one text column", is_empty)
    for name, range_ in table.numeric.items():
        columns[name] = rows.numbers(name, range_)
    if table.availability is not None:
        columns["available"] = rows.flags(table.availability)
    return rows.normalised(columns)


def normalise_users(batch: pa.RecordBatch, table: UsersTable, where: Where) -> Normalised:
    """Makes users canonical: `user_id` string, and the categorical and numeric columns as for items.

    Raises:
        DataError: A column has a type that cannot be what the manifest says.
    """
    rows = _Rows("users", batch, where, table.missing_ids)
    columns = {"user_id": rows.ids(table.id)}
    for name in table.categorical:
        columns[name] = rows.categories(name)
    for name, range_ in table.numeric.items():
        columns[name] = rows.numbers(name, range_)
    return rows.normalised(columns)


def normalise_events(batch: pa.RecordBatch, table: EventsTable, where: Where) -> Normalised:
    """Makes events canonical.

    They have `user_id` and `item_id` strings, `time` int64 epoch seconds, `kind` string (its label), `weight`
    float32, and, if the manifest names them, `value` float32 (nullable), `query` and `session` strings (""
    for null). A row without a user, an item, a time or a known kind is counted and left out.

    Raises:
        DataError: A column has a type that cannot be what the manifest says.
    """
    rows = _Rows("events", batch, where, table.missing_ids)
    columns = {"user_id": rows.ids(table.user), "item_id": rows.ids(table.item)}
    parsed = times.parse_times(batch.column(table.time))
    rows.find("bad_times", table.time, times.EXPECTED, ~parsed.is_time, drop=True)
    rows.find("unlikely_times", table.time, times.LIKELY, parsed.is_unlikely)
    columns["time"] = pa.array(parsed.seconds)
    columns["kind"], columns["weight"] = rows.kinds(table)
    if table.value is not None:
        columns["value"] = rows.numbers(table.value, Range())
    if table.query is not None:
        columns["query"] = rows.texts(table.query)
    if table.session is not None:
        columns["session"] = rows.optional_ids(table.session)
    return rows.normalised(columns)


def normalise_judgments(
    batch: pa.RecordBatch, table: JudgmentsTable, where: Where, queries: QueryTexts | None = None
) -> Normalised:
    """Makes judgments canonical.

    They have `query_id`, `query` and `item_id` strings, `grade` float32, and, if the manifest names such a
    column, `split` string. Without a column of query ids the text is the id. A row without one of them is
    counted and left out.

    Args:
        batch: As read.
        table: What its columns mean.
        where: Where it comes from.
        queries: The texts by id, from `read_queries`; needed when the manifest names a table of queries.

    Raises:
        DataError: A column has a type that cannot be what the manifest says.
    """
    rows = _Rows("judgments", batch, where, table.missing_ids)
    query_id = rows.ids(table.query_id) if table.query_id is not None else None
    if queries is not None and query_id is not None:
        query = queries.texts.take(pc.index_in(query_id, queries.ids))
        is_unknown = _mask(pc.and_(query.is_null(), query_id.is_valid()))
        rows.find("unknown_queries", str(table.query_id), "be in the table of queries", is_unknown, drop=True)
    else:
        query = rows.query_texts(table.query)
    columns = {
        "query_id": query if query_id is None else query_id,
        "query": query,
        "item_id": rows.ids(table.item),
        "grade": rows.grades(table),
    }
    if table.split is not None:
        columns["split"] = rows.lookup("unknown_values", table.split, _SPLIT_NAMES)
    return rows.normalised(columns)


def read_queries(manifest: Manifest) -> tuple[QueryTexts | None, Findings]:
    """The table of queries that judgments are joined with, or ``None`` if the judgments hold the text.

    Raises:
        DataError: A file is missing or cannot be read.
    """
    table = manifest.judgments
    if table is None or table.queries is None or table.query_id is None:
        return None, Findings()
    ids, texts, findings = [pa.array([], pa.string())], [pa.array([], pa.string())], Findings()
    places: list[tuple[str, int]] = []
    for file in expand_paths(table.queries, manifest.folder):
        for first_row, batch in read_batches(file, columns=[table.query_id, table.query]):
            rows = _Rows("queries", batch, Where(file=file, first_row=first_row), table.missing_ids)
            normal = rows.normalised({"id": rows.ids(table.query_id), "text": rows.query_texts(table.query)})
            ids.append(normal.batch.column("id"))
            texts.append(normal.batch.column("text"))
            places.extend((file, row) for row in normal.rows.tolist())
            findings += normal.findings
    queries = QueryTexts(ids=pa.concat_arrays(ids), texts=pa.concat_arrays(texts))
    return queries, findings + Findings(findings=_ambiguous_queries(queries, places, table.query_id))


def _ambiguous_queries(
    queries: QueryTexts, places: list[tuple[str, int]], column: str
) -> tuple[Finding, ...]:
    """The ids that come again with another text, of which the first counts."""
    first = pc.index_in(queries.ids, queries.ids)
    positions = np.flatnonzero(_mask(pc.not_equal(queries.texts, queries.texts.take(first))))
    if not len(positions):
        return ()
    examples = tuple(
        Example(file=shown(places[i][0]), row=places[i][1], value=queries.ids[int(i)].as_py())
        for i in positions[:NUM_EXAMPLES]
    )
    expected = "not repeat an id with another text"
    return (
        Finding(
            rule="duplicate_queries",
            table="queries",
            column=column,
            expected=expected,
            count=len(positions),
            examples=examples,
        ),
    )


def normalised_batches(
    manifest: Manifest,
    table: str,
    files: list[str],
    queries: QueryTexts | None = None,
    on_bytes: OnBytes | None = None,
    on_lines: OnLines | None = None,
) -> Iterator[tuple[str, Normalised]]:
    """A table's canonical batches, each with its file.

    Args:
        manifest: The dataset.
        table: ``items``, ``users``, ``events`` or ``judgments``.
        files: Its files.
        queries: The texts of the queries, for ``judgments``.
        on_bytes: Told of each read, see `files.open_file`.
        on_lines: Told of the lines that are read, see `tables.read_batches`.
    """
    described, normalise = getattr(manifest, table), _NORMALISE[table]
    extra = (queries,) if table == "judgments" else ()
    for file in files:
        batches = read_batches(
            file,
            columns=described.columns,
            batch_rows=_BATCH_ROWS,
            format=described.format,
            on_bytes=on_bytes,
            on_lines=on_lines,
        )
        for first_row, batch in batches:
            yield file, normalise(batch, described, Where(file=file, first_row=first_row), *extra)


_NORMALISE: dict[str, Callable[..., Normalised]] = {
    "items": normalise_items,
    "users": normalise_users,
    "events": normalise_events,
    "judgments": normalise_judgments,
}


class _Rows:
    """The rows of one raw batch while their columns are being converted."""

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
        self.find("missing_ids", column, expected, _mask(ids.is_null()), drop=True)
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

    def categories(self, column: str) -> pa.StringArray:
        """Categories, "" where missing, each in one line, as its vocabulary has a value a line."""
        self._require_single(
            column,
            "a category is one value",
            "name the column in text, or keep the first of them in a column of its own",
        )
        texts = self.texts(column)
        if pc.any(pc.match_substring_regex(texts, r"[\r\n]")).as_py():
            texts = pc.replace_substring_regex(texts, r"\s*[\r\n]\s*", " ")
        return texts

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
        yes, no = _mask(pc.is_in(labels, _YES)), _mask(pc.is_in(labels, _NO))
        unknown = ~yes & ~no & ~_mask(pc.equal(labels, ""))
        self.find("unknown_values", column, "be true or false", unknown)
        return pa.array(np.where(no, 0, 1).astype(np.int64))

    def kinds(self, table: EventsTable) -> tuple[pa.StringArray, pa.FloatArray]:
        """The label and the weight of each event's kind."""
        rule = table.kind
        num_rows = self._batch.num_rows
        if rule.column is None:
            (kind,) = rule.kinds.values()
            return pa.repeat(kind.label, num_rows), pa.repeat(pa.scalar(kind.weight, pa.float32()), num_rows)
        if not rule.kinds:
            labels = self.labels(rule.column)
            self.find("unknown_kinds", rule.column, "not be empty", _mask(labels.is_null()), drop=True)
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
        self.find("unknown_grades", rule.column, expected, _mask(grades.is_null()), drop=True)
        return grades

    def lookup(self, rule: str, column: str, names: Mapping[str, str]) -> pa.StringArray:
        """The name each value stands for; rows with another value are left out."""
        positions = pc.index_in(self.labels(column), pa.array(list(names)))
        expected = f"be one of {', '.join(names)}"
        self.find(rule, column, expected, _mask(positions.is_null()), drop=True)
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
            file = shown(self._where.file)
            raise DataError(
                f'{file}: column "{column}" must hold {expected}. Got values of type {raw.type}.'
            ) from None


def _mask(column: pa.Array) -> Mask:
    return column.fill_null(False).to_numpy(zero_copy_only=False)


def _range_rule(range_: Range) -> str:
    if range_.min is None and range_.max is None:
        return "be a number"
    if range_.min is None:
        return f"be at most {range_.max:g}"
    return f"be at least {range_.min:g}" + ("" if range_.max is None else f" and at most {range_.max:g}")


def _as_shown(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
