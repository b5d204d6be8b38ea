"""The Beam stages of the join. Rows travel in Arrow batches until they are grouped by user or by query."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow as tf

from components.frames import BYTES, FLOAT, INT, FrameDecoder
from components.interaction_builder.contexts import Context, Events, contexts
from pipeline import features
from pipeline.contract import EventsTable, UsersTable
from pipeline.findings import Example, Finding, Findings
from pipeline.manifest import Manifest
from pipeline.splits import judgment_splits

_BATCH = 4096
_EVENTS = {
    features.USER_ID: BYTES,
    features.ITEM_ID: BYTES,
    features.TIME: INT,
    features.KIND: BYTES,
    features.WEIGHT: FLOAT,
    features.VALUE: FLOAT,
    features.QUERY: BYTES,
}
# Columns by which events of one second, item and kind may still differ.
_UNORDERED = [features.QUERY, features.VALUE, features.WEIGHT]
_JUDGMENTS = {
    features.QUERY_ID: BYTES,
    features.QUERY: BYTES,
    features.ITEM_ID: BYTES,
    features.GRADE: FLOAT,
    "split": BYTES,
}


class ReadFrames(beam.PTransform):
    """Examples as pandas frames of single values, None or NaN where there is none."""

    def __init__(self, pattern: str, columns: dict[str, Any]):
        super().__init__()
        self._pattern, self._columns = pattern, columns

    def expand(self, pipeline: Any) -> Any:
        return (
            pipeline
            | "Read" >> beam.io.ReadFromTFRecord(self._pattern)
            | "Batch" >> beam.BatchElements(min_batch_size=_BATCH, max_batch_size=_BATCH)
            | "Decode" >> beam.ParDo(_Decode(self._columns))
        )


class _Decode(beam.DoFn):
    def __init__(self, columns: dict[str, Any]):
        self._columns = columns

    def setup(self) -> None:
        self._decoder = FrameDecoder(self._columns)

    def process(self, batch: list[bytes]) -> Iterator[pd.DataFrame]:
        yield self._decoder.decode(batch)


class ItemRows(beam.PTransform):
    """The row of each item id: its rank in byte order. The one thing every worker holds whole."""

    def __init__(self, pattern: str):
        super().__init__()
        self._pattern = pattern

    def expand(self, pipeline: Any) -> Any:
        return (
            pipeline
            | "ReadItems" >> ReadFrames(self._pattern, {features.ITEM_ID: BYTES})
            | "Ids" >> beam.Map(lambda frame: frame[features.ITEM_ID].tolist())
            | "Gather" >> beam.CombineGlobally(lambda lists: [i for ids in lists for i in ids])
            | "Rank" >> beam.Map(lambda ids: {item: row for row, item in enumerate(sorted(set(ids)))})
        )


class TimeSpan(beam.PTransform):
    """The times of the first and the last event, as JSON text."""

    def __init__(self, pattern: str):
        super().__init__()
        self._pattern = pattern

    def expand(self, pipeline: Any) -> Any:
        return (
            pipeline
            | "ReadTimes" >> ReadFrames(self._pattern, {features.TIME: INT})
            | "Ends" >> beam.Map(lambda f: (int(f[features.TIME].min()), int(f[features.TIME].max())))
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
    ):
        super().__init__()
        self._events, self._users = events, users
        self._patterns, self._item_rows = patterns, item_rows
        self._starts, self._max_history, self._summary_uri = starts, max_history, summary_uri

    def expand(self, pipeline: Any) -> dict[str, Any]:
        joined = (
            pipeline
            | "ReadEvents" >> ReadFrames(self._patterns["events"], _EVENTS)
            | "JoinItems"
            >> beam.FlatMap(_join_events, self._item_rows, self._starts[0], self._events.item).with_outputs(
                "summary", main="events"
            )
        )
        _ = joined.summary | "Summary" >> _WriteSummary(os.path.join(self._summary_uri, "events.json"))
        tables = {"events": joined.events, "users": pipeline | "Users" >> self._profiles()}
        made = (
            tables
            | "ByUser" >> beam.CoGroupByKey()
            | "Contexts"
            >> beam.FlatMap(_user_examples, self._starts, self._max_history).with_outputs(
                *features.EVENT_SPLITS
            )
        )
        return {split: made[split] for split in features.EVENT_SPLITS}

    def _profiles(self) -> Any:
        if self._users is None:
            return beam.Create([])
        columns = {features.USER_ID: BYTES} | dict.fromkeys(self._users.categorical, BYTES)
        columns |= dict.fromkeys(self._users.numeric, FLOAT)
        return _ReadUsers(self._patterns["users"], columns)


class _ReadUsers(beam.PTransform):
    def __init__(self, pattern: str, columns: dict[str, Any]):
        super().__init__()
        self._pattern, self._columns = pattern, columns

    def expand(self, pipeline: Any) -> Any:
        return pipeline | ReadFrames(self._pattern, self._columns) | "Keyed" >> beam.FlatMap(_keyed_users)


def _keyed_users(frame: pd.DataFrame) -> Iterator[tuple[bytes, dict[str, Any]]]:
    ids = frame.pop(features.USER_ID)
    yield from zip(ids, frame.to_dict("records"), strict=True)


def _join_events(
    frame: pd.DataFrame, item_rows: dict[bytes, int], validation_start: int, column: str
) -> Iterator[Any]:
    rows = frame[features.ITEM_ID].map(item_rows)
    known = rows.notna()
    orphans = frame.loc[~known, features.ITEM_ID]
    frame = frame.assign(item_row=rows)[known]
    train = frame.loc[frame[features.TIME] < validation_start, "item_row"].astype(np.int64)
    yield beam.pvalue.TaggedOutput(
        "summary",
        (
            _orphans("events", column, len(known), orphans),
            np.bincount(train, minlength=len(item_rows)).astype(np.int64),
        ),
    )
    for user, part in frame.groupby(features.USER_ID, sort=False):
        yield user, part.drop(columns=[features.USER_ID, features.ITEM_ID])


def _orphans(table: str, column: str, num_rows: int, ids: pd.Series) -> Findings:
    findings: tuple[Finding, ...] = ()
    if len(ids):
        # Row numbers of the file are gone by now; `tandem check` names them before a run begins.
        examples = [Example(file=table, row=0, value=i.decode()) for i in ids.iloc[:3]]
        findings = (
            Finding(
                rule=f"orphan_{table}",
                table=table,
                column=column,
                expected="be in the table of items",
                count=len(ids),
                examples=tuple(examples),
            ),
        )
    return Findings(rows={table: num_rows}, findings=findings)


class _WriteSummary(beam.PTransform):
    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def expand(self, parts: Any) -> Any:
        return (
            parts
            | "Sum" >> beam.CombineGlobally(_sum_summaries)
            | "Json" >> beam.Map(_summary_json)
            | "Write" >> beam.io.WriteToText(self._path, shard_name_template="")
        )


def _sum_summaries(parts: Iterable[tuple[Findings, np.ndarray | None]]) -> tuple[Findings, np.ndarray | None]:
    findings, counts = Findings(), None
    for part, part_counts in parts:
        findings += part
        if part_counts is not None:
            counts = part_counts if counts is None else counts + part_counts
    return findings, counts


def _summary_json(summary: tuple[Findings, np.ndarray | None]) -> str:
    findings, counts = summary
    written: dict[str, Any] = {"findings": findings.to_json()}
    if counts is not None:
        written["item_counts"] = counts.tolist()
    return json.dumps(written)


def _user_examples(
    grouped: tuple[bytes, dict[str, Any]], starts: tuple[int, int], max_history: int
) -> Iterator[beam.pvalue.TaggedOutput]:
    user_id, tables = grouped
    frames = list(tables["events"])
    events = _sorted_events(frames)
    profile = _profile(next(iter(tables["users"]), {}))
    for context in contexts(events, starts, max_history):
        if len(context.targets) or len(context.history_rows) or context.split == features.USERS_AT_END:
            example = _example(user_id, profile, events, context)
            yield beam.pvalue.TaggedOutput(context.split, example.SerializeToString(deterministic=True))


def _sorted_events(frames: list[pd.DataFrame]) -> Events:
    frame = pd.concat(frames) if frames else pd.DataFrame(columns=["item_row", *_EVENTS])
    # The order of rows that share a second must not depend on how Beam split the file.
    frame = frame.sort_values([features.TIME, "item_row", features.KIND, *_UNORDERED], kind="stable")
    return Events(
        item_rows=frame["item_row"].to_numpy(np.int64),
        times=frame[features.TIME].to_numpy(np.int64),
        weights=frame[features.WEIGHT].fillna(1.0).to_numpy(np.float32),
        values=frame[features.VALUE].to_numpy(np.float32),
        kinds=frame[features.KIND].to_numpy(object),
        queries=np.array([q if isinstance(q, bytes) else b"" for q in frame[features.QUERY]], object),
    )


def _profile(columns: dict[str, Any]) -> dict[str, tf.train.Feature]:
    profile = {}
    for name, value in columns.items():
        if isinstance(value, bytes):
            profile[features.user_feature(name)] = _bytes([value])
        elif value is not None and np.isfinite(value):
            profile[features.user_feature(name)] = _floats([value])
    return profile


def _example(
    user_id: bytes, profile: dict[str, tf.train.Feature], events: Events, context: Context
) -> tf.train.Example:
    targets = context.targets
    return _as_example(
        {
            features.USER_ID: _bytes([user_id]),
            features.QUERY_ID: _bytes([b""]),
            features.QUERY: _bytes([context.query]),
            features.TIME: _ints([context.time]),
            features.HISTORY_ROWS: _ints(context.history_rows),
            features.HISTORY_COUNTS: _ints(context.history_counts),
            features.TARGET_ROWS: _ints(events.item_rows[targets]),
            features.TARGET_WEIGHTS: _floats(events.weights[targets]),
            features.KIND: _bytes(events.kinds[targets]),
            features.VALUE: _floats(np.nan_to_num(events.values[targets])),
            **profile,
        }
    )


class JudgedQueries(beam.PTransform):
    """Judgments become one example a query, by split; those of unknown items are counted and dropped."""

    def __init__(self, manifest: Manifest, pattern: str, item_rows: Any, summary_uri: str):
        super().__init__()
        self._manifest, self._pattern = manifest, pattern
        self._item_rows, self._summary_uri = item_rows, summary_uri

    def expand(self, pipeline: Any) -> dict[str, Any]:
        joined = (
            pipeline
            | "ReadJudgments" >> ReadFrames(self._pattern, _JUDGMENTS)
            | "JoinJudged"
            >> beam.FlatMap(
                _join_judgments, self._item_rows, self._manifest.split.judgments, self._manifest.judgments
            ).with_outputs("summary", main="judgments")
        )
        _ = joined.summary | "JudgedSummary" >> _WriteSummary(
            os.path.join(self._summary_uri, "judgments.json")
        )
        made = (
            joined.judgments
            | "ByQuery" >> beam.GroupByKey()
            | "JudgedExamples" >> beam.Map(_judged_example).with_outputs(*features.JUDGMENT_SPLITS)
        )
        return {split: made[split] for split in features.JUDGMENT_SPLITS}


def _join_judgments(
    frame: pd.DataFrame, item_rows: dict[bytes, int], split: Any, table: Any
) -> Iterator[Any]:
    rows = frame[features.ITEM_ID].map(item_rows)
    known = rows.notna()
    findings = _orphans("judgments", table.item, len(known), frame.loc[~known, features.ITEM_ID])
    yield beam.pvalue.TaggedOutput("summary", (findings, None))
    columns = {features.QUERY: pa.array(frame[features.QUERY].str.decode("utf-8"), pa.string())}
    if table.split is not None:
        columns["split"] = pa.array(frame["split"].str.decode("utf-8"), pa.string())
    splits = judgment_splits(pa.RecordBatch.from_pydict(columns), split).to_pylist()
    frame = frame.assign(item_row=rows, split=splits)[known]
    for key, part in frame.groupby([features.QUERY_ID, features.QUERY, "split"], sort=False):
        yield key, part[["item_row", features.GRADE]].to_numpy(np.float64)


def _judged_example(
    grouped: tuple[tuple[bytes, bytes, str], Iterable[np.ndarray]],
) -> beam.pvalue.TaggedOutput:
    (query_id, query, split), parts = grouped
    judged = np.concatenate(list(parts))
    judged = judged[np.lexsort((judged[:, 1], judged[:, 0]))]
    example = _as_example(
        {
            features.USER_ID: _bytes([b""]),
            features.QUERY_ID: _bytes([query_id]),
            features.QUERY: _bytes([query]),
            features.TIME: _ints([0]),
            features.HISTORY_ROWS: _ints([]),
            features.HISTORY_COUNTS: _ints([]),
            features.TARGET_ROWS: _ints(judged[:, 0].astype(np.int64)),
            features.TARGET_WEIGHTS: _floats(judged[:, 1]),
        }
    )
    return beam.pvalue.TaggedOutput(f"judged_{split}", example.SerializeToString(deterministic=True))


def _as_example(named: dict[str, tf.train.Feature]) -> tf.train.Example:
    return tf.train.Example(features=tf.train.Features(feature=named))


def _bytes(values: Iterable[bytes]) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _ints(values: Iterable[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values: Iterable[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
