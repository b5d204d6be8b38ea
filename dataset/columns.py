"""Canonical columns: a batch as its file has it becomes one with our names, types and units.

Pure functions over Arrow arrays, one batch in and one out, with what is wrong in it counted: they run on any
worker.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset import times
from dataset.contract import EventsTable, ItemsTable, JudgmentsTable, Range, UsersTable
from dataset.files import OnBytes, OnLines, shown
from dataset.findings import NUM_EXAMPLES, Example, Finding, Findings
from dataset.manifest import Manifest
from dataset.markup import has_markup, without_markup
from dataset.raw_rows import Normalised, RawRows, Where, as_mask
from dataset.tables import expand_paths, read_batches

# Hash tables over the catalogue are built anew for each batch, so batches are large here.
_BATCH_ROWS = 1 << 18

_SPLIT_NAMES = {"train": "train", "validation": "validation", "test": "test"} | dict.fromkeys(
    ("valid", "val", "dev"), "validation"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryTexts:
    """A table of queries: string `[n]` ids and string `[n]` texts."""

    ids: pa.StringArray
    texts: pa.StringArray


def normalise_items(batch: pa.RecordBatch, table: ItemsTable, where: Where) -> Normalised:
    """Makes items canonical.

    They have `item_id` string, the text and code columns under their own names (string, "" for null, texts
    without their HTML if the manifest says so), the categorical ones (lists of different strings, [""] for
    null, also where they are text as well), the numeric ones (float32, null where unknown or wrong), and, if
    the manifest names such columns, `available` (int64, 1 or 0), `available_from` and `available_until`
    (int64 epoch seconds, of the year 1 or 9999 where there is no bound).

    Raises:
        DataError: A column has a type that cannot be what the manifest says.
    """
    rows = RawRows("items", batch, where, table.missing_ids)
    columns = {"item_id": rows.ids(table.id)}
    for name in table.text:
        columns[name] = rows.texts(name)
        if table.strip_markup:
            columns[name] = without_markup(columns[name])
        else:
            expected = "hold no HTML, which strip_markup = true in [items] takes off"
            rows.find("markup", name, expected, has_markup(columns[name]))
    is_empty = np.logical_and.reduce([as_mask(pc.equal(columns[name], "")) for name in table.text])
    rows.find("empty_text", table.text[0], "have text in at least one text column", is_empty)
    for name in table.categorical:
        is_marked = table.strip_markup and name in table.text
        columns[name] = rows.categories(name, table.separator.get(name), strip_markup=is_marked)
    for name in table.codes:
        if name not in columns:
            columns[name] = rows.label_texts(name)
    for name, range_ in table.numeric.items():
        columns[name] = rows.numbers(name, range_)
    if table.availability is not None:
        columns["available"] = rows.flags(table.availability)
    columns |= rows.times_of_availability(table)
    return rows.normalised(columns)


def normalise_users(batch: pa.RecordBatch, table: UsersTable, where: Where) -> Normalised:
    """Makes users canonical.

    They have `user_id` string, the categorical columns (string, "" for null), and the numeric ones as for
    items.

    Raises:
        DataError: A column has a type that cannot be what the manifest says.
    """
    rows = RawRows("users", batch, where, table.missing_ids)
    columns = {"user_id": rows.ids(table.id)}
    for name in table.categorical:
        columns[name] = rows.category(name)
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
    rows = RawRows("events", batch, where, table.missing_ids)
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
    rows = RawRows("judgments", batch, where, table.missing_ids)
    query_id = rows.ids(table.query_id) if table.query_id is not None else None
    if queries is not None and query_id is not None:
        query = queries.texts.take(pc.index_in(query_id, queries.ids))
        is_unknown = as_mask(pc.and_(query.is_null(), query_id.is_valid()))
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
            rows = RawRows("queries", batch, Where(file=file, first_row=first_row), table.missing_ids)
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
    positions = np.flatnonzero(as_mask(pc.not_equal(queries.texts, queries.texts.take(first))))
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
