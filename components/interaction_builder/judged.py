"""The Beam stage of the judgments: grouped by query, split by query."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from components.interaction_builder.examples import judged_example
from components.interaction_builder.summary import WriteSummary, rows_of, split_known
from components.records import ReadColumns
from dataset import features
from dataset.frames import BYTES, FLOAT
from dataset.manifest import Manifest
from dataset.splits import judgment_splits

_SPLIT = "split"
_JUDGMENTS = {
    features.QUERY_ID: BYTES,
    features.QUERY: BYTES,
    features.ITEM_ID: BYTES,
    features.GRADE: FLOAT,
    _SPLIT: BYTES,
}


class JudgedQueries(beam.PTransform):
    """Judgments become one example a query, by split; those of unknown items are counted and dropped."""

    def __init__(self, manifest: Manifest, pattern: str, item_rows: Any, summary_uri: str) -> None:
        super().__init__()
        self._manifest, self._pattern = manifest, pattern
        self._item_rows, self._summary_uri = item_rows, summary_uri

    def expand(self, pipeline: Any) -> dict[str, Any]:
        joined = (
            pipeline
            | "ReadJudgments" >> ReadColumns(self._pattern, _JUDGMENTS)
            | "JoinJudged"
            >> beam.FlatMap(
                _join_judgments, self._item_rows, self._manifest.split.judgments, self._manifest.judgments
            ).with_outputs("summary", main="judgments")
        )
        _ = joined.summary | "JudgedSummary" >> WriteSummary(
            os.path.join(self._summary_uri, "judgments.json")
        )
        made = (
            joined.judgments
            | "ByQuery" >> beam.GroupByKey()
            | "JudgedExamples" >> beam.Map(_judged_example).with_outputs(*features.JUDGMENT_SPLITS)
        )
        return {split: made[split] for split in features.JUDGMENT_SPLITS}


def _join_judgments(
    batch: pa.RecordBatch, item_rows: dict[bytes, int], split: Any, table: Any
) -> Iterator[Any]:
    rows = rows_of(batch.column(features.ITEM_ID), item_rows)
    known, findings = split_known(batch, rows, "judgments", table.item)
    yield beam.pvalue.TaggedOutput("summary", (findings, None))
    columns = {features.QUERY: known.column(features.QUERY).cast(pa.string())}
    if table.split is not None:
        columns[_SPLIT] = known.column(_SPLIT).cast(pa.string())
    splits = judgment_splits(pa.RecordBatch.from_pydict(columns), split)
    frame = known.select([features.QUERY_ID, features.QUERY]).to_pandas()
    frame = frame.assign(
        split=splits.to_pylist(), row=rows[rows >= 0], grade=known.column(features.GRADE).to_numpy()
    )
    for key, part in frame.groupby([features.QUERY_ID, features.QUERY, "split"], sort=False):
        yield key, part[["row", "grade"]].to_numpy(np.float64)


def _judged_example(
    grouped: tuple[tuple[bytes, bytes, str], Iterable[np.ndarray]],
) -> beam.pvalue.TaggedOutput:
    (query_id, query, split), parts = grouped
    judged = np.concatenate(list(parts))
    judged = judged[np.lexsort((judged[:, 1], judged[:, 0]))]
    # An item that is judged several times counts once, by its highest grade.
    judged = judged[np.append(np.diff(judged[:, 0]) > 0, True)]
    example = judged_example(query_id, query, judged[:, 0].astype(np.int64), judged[:, 1])
    return beam.pvalue.TaggedOutput(f"judged_{split}", [example])
