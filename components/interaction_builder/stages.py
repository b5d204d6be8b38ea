"""The Beam stages of the events: rows travel in Arrow batches and meet those of their user in a shard."""

from __future__ import annotations

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.interaction_builder.contexts import Events, contexts
from components.interaction_builder.examples import context_example, profile_features
from components.interaction_builder.shards import joined, pieces
from components.interaction_builder.summary import WriteSummary, rows_of, split_known
from components.records import ReadColumns
from dataset import features
from dataset.contract import EventsTable, UsersTable
from dataset.frames import BYTES, FLOAT, INT
from dataset.interaction import OF_EVENTS
from dataset.kinds import is_negative, is_positive

_ITEM_ROW = "item_row"
_READ = {
    features.USER_ID: BYTES,
    features.ITEM_ID: BYTES,
    features.TIME: INT,
} | {column: feature.kind for column, feature in OF_EVENTS.items()}
_ARROW_TYPES = {BYTES: pa.binary(), INT: pa.int64(), FLOAT: pa.float32()}
# In the order of sorting, which must not depend on how Beam split the files: whatever may differ is in it.
_EVENTS = pa.schema(
    {
        features.USER_ID: pa.binary(),
        features.TIME: pa.int64(),
        _ITEM_ROW: pa.int32(),
    }
    | {column: _ARROW_TYPES[feature.kind] for column, feature in OF_EVENTS.items()}
)
_EXAMPLES = 1024


class ItemRows(beam.PTransform):
    """The row of each item id: its rank in byte order. The one thing every worker holds whole."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = pattern

    def expand(self, pipeline: Any) -> Any:
        return (
            pipeline
            | "ReadItems" >> ReadColumns(self._pattern, {features.ITEM_ID: BYTES})
            | "Ids" >> beam.Map(lambda batch: set(batch.column(0).to_pylist()))
            | "Gather" >> beam.CombineGlobally(lambda parts: set().union(*parts))
            | "Rank" >> beam.Map(lambda ids: {item: row for row, item in enumerate(sorted(ids))})
        )


class TimeSpan(beam.PTransform):
    """The times of the first and the last event, as JSON text."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = pattern

    def expand(self, pipeline: Any) -> Any:
        return (
            pipeline
            | "ReadTimes" >> ReadColumns(self._pattern, {features.TIME: INT})
            | "Ends" >> beam.Map(lambda batch: tuple(pc.min_max(batch.column(0)).as_py().values()))
            | "Span" >> beam.CombineGlobally(_span)
            | "Json" >> beam.Map(json.dumps)
        )


def _span(ends: Iterable[tuple[int, int]]) -> tuple[int, int]:
    pairs = list(ends) or [(0, 0)]
    return min(first for first, _ in pairs), max(last for _, last in pairs)


class EventContexts(beam.PTransform):
    """Events and users become contexts, as serialised tf.Examples by split; the dropped goes to a summary."""

    def __init__(
        self,
        events: EventsTable,
        users: UsersTable | None,
        patterns: dict[str, str],
        item_rows: Any,
        starts: tuple[int, int],
        max_history: int,
        summary_uri: str,
    ) -> None:
        super().__init__()
        self._events, self._users = events, users
        self._patterns, self._item_rows = patterns, item_rows
        self._starts, self._max_history, self._summary_uri = starts, max_history, summary_uri

    def expand(self, pipeline: Any) -> dict[str, Any]:
        known = (
            pipeline
            | "ReadEvents" >> ReadColumns(self._patterns["events"], _READ)
            | "JoinItems"
            >> beam.FlatMap(_join_events, self._item_rows, self._starts[0], self._events.item).with_outputs(
                "summary", main="events"
            )
        )
        _ = known.summary | "Summary" >> WriteSummary(os.path.join(self._summary_uri, "events.json"))
        users = _user_schema(self._users)
        tables = {"events": known.events, "users": pipeline | "Users" >> self._read_users(users)}
        made = (
            tables
            | "ByUser" >> beam.CoGroupByKey()
            | "Contexts"
            >> beam.FlatMap(_shard_examples, users, self._starts, self._max_history).with_outputs(
                *features.EVENT_SPLITS
            )
        )
        return {split: made[split] for split in features.EVENT_SPLITS}

    def _read_users(self, schema: pa.Schema) -> Any:
        return beam.Create([]) if self._users is None else _ReadUsers(self._patterns["users"], schema)


class _ReadUsers(beam.PTransform):
    def __init__(self, pattern: str, schema: pa.Schema) -> None:
        super().__init__()
        self._pattern, self._schema = pattern, schema

    def expand(self, pipeline: Any) -> Any:
        columns = {field.name: BYTES if field.type == pa.binary() else FLOAT for field in self._schema}
        users = pipeline | ReadColumns(self._pattern, columns)
        return users | "Pieces" >> beam.FlatMap(
            lambda batch, names: pieces(batch.select(names), features.USER_ID), self._schema.names
        )


def _user_schema(users: UsersTable | None) -> pa.Schema:
    columns = {features.USER_ID: pa.binary()}
    if users is not None:
        columns |= dict.fromkeys(users.categorical, pa.binary()) | dict.fromkeys(users.numeric, pa.float32())
    return pa.schema(columns)


def _join_events(
    batch: pa.RecordBatch, item_rows: dict[bytes, int], validation_start: int, column: str
) -> Iterator[Any]:
    rows = rows_of(batch.column(features.ITEM_ID), item_rows)
    known, findings = split_known(batch, rows, "events", column)
    rows, weights = rows[rows >= 0], known.column(features.WEIGHT).fill_null(1.0).to_numpy()
    is_train = known.column(features.TIME).to_numpy() < validation_start
    counts = np.bincount(rows[is_train & is_positive(weights)], minlength=len(item_rows))
    yield beam.pvalue.TaggedOutput("summary", (findings, counts))
    # Nothing is made of an impression. A user who only disliked something is still one to know.
    is_used = is_positive(weights) | is_negative(weights)
    known, rows = known.filter(pa.array(is_used)), rows[is_used]
    columns = [rows if name == _ITEM_ROW else known.column(name) for name in _EVENTS.names]
    yield from pieces(pa.record_batch(columns, schema=_EVENTS), features.USER_ID)


def _shard_examples(
    grouped: tuple[int, dict[str, Iterable[bytes]]],
    users: pa.Schema,
    starts: tuple[int, int],
    max_history: int,
) -> Iterator[beam.pvalue.TaggedOutput]:
    """Yields the examples of a shard's users in lists, by split."""
    _, tables = grouped
    profiles = _profiles(joined(tables["users"], users))
    made = defaultdict[str, list[bytes]](list)
    for user_id, events in _by_user(joined(tables["events"], _EVENTS), profiles):
        profile = profile_features(profiles.get(user_id, {}))
        for context in contexts(events, starts, max_history):
            if len(context.targets) or len(context.history_rows) or context.split == features.USERS_AT_END:
                examples = made[context.split]
                examples.append(context_example(user_id, profile, events, context))
                if len(examples) == _EXAMPLES:
                    yield beam.pvalue.TaggedOutput(context.split, made.pop(context.split))
    for split, examples in made.items():
        yield beam.pvalue.TaggedOutput(split, examples)


def _profiles(users: pa.Table) -> dict[bytes, dict[str, Any]]:
    """What is known of each user, by column; of a repeated id always the same row."""
    rows = users.sort_by([(name, "descending") for name in users.column_names]).to_pylist()
    return {
        row[features.USER_ID]: {name: value for name, value in row.items() if name != features.USER_ID}
        for row in rows
    }


def _by_user(table: pa.Table, also: Iterable[bytes]) -> Iterator[tuple[bytes, Events]]:
    """Each user's choices in order of time; none for users of the table, or of `also`, that have none."""
    known = {*also, *table[features.USER_ID].unique().to_pylist()}
    table = table.filter(pa.array(is_positive(table[features.WEIGHT].fill_null(1.0).to_numpy())))
    table = table.sort_by([(name, "ascending") for name in _EVENTS.names])
    whole = Events(
        item_rows=table[_ITEM_ROW].to_numpy().astype(np.int64),
        times=table[features.TIME].to_numpy(),
        columns={
            column: _array(table[column].fill_null(feature.empty)) for column, feature in OF_EVENTS.items()
        },
    )
    users = table[features.USER_ID].combine_chunks().dictionary_encode()
    edges = np.flatnonzero(np.diff(users.indices.to_numpy(), prepend=-1)).tolist()
    # Distinct values are in order of their first row, and here the rows of each are together.
    for user_id, (begin, end) in zip(
        users.dictionary.to_pylist(), itertools.pairwise([*edges, len(users)]), strict=True
    ):
        yield user_id, whole.slice(begin, end)
    for user_id in known.difference(users.dictionary.to_pylist()):
        yield user_id, whole.slice(0, 0)


def _array(column: pa.ChunkedArray) -> np.ndarray:
    """A column as `[n]`; the objects of a binary one, which has few distinct values, are each made once."""
    if column.type != pa.binary():
        return column.to_numpy()
    encoded = column.combine_chunks().dictionary_encode()
    return np.array(encoded.dictionary.to_pylist(), object)[encoded.indices.to_numpy()]
