"""The join with the catalogue, and what it counts: rows, orphans, and each item's events of training."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from dataset import features
from dataset.findings import NUM_EXAMPLES, Example, Finding, Findings

Summary = tuple[Findings, np.ndarray | None]


def rows_of(ids: pa.Array, item_rows: dict[bytes, int]) -> np.ndarray:
    """The row of each item id: int64 `[n]`, -1 where the catalogue does not know it."""
    encoded = ids.dictionary_encode()
    rows = [item_rows.get(item, -1) for item in encoded.dictionary.to_pylist()]
    return np.array(rows, np.int64)[encoded.indices.to_numpy()]


def split_known(
    batch: pa.RecordBatch, rows: np.ndarray, table: str, column: str
) -> tuple[pa.RecordBatch, Findings]:
    """The rows whose item is known, and the others as a finding.

    Args:
        batch: Events or judgments.
        rows: Of `rows_of` its items.
        table: ``events`` or ``judgments``.
        column: The column of item ids as the file names it.
    """
    is_known = rows >= 0
    findings: tuple[Finding, ...] = ()
    if not is_known.all():
        absent = batch.column(features.ITEM_ID).filter(pa.array(~is_known))
        findings = (
            Finding(
                rule=f"orphan_{table}",
                table=table,
                column=column,
                expected="be in the table of items",
                count=len(absent),
                # Row numbers of the file are gone by now; `tandem check` names them before a run begins.
                examples=tuple(
                    Example(file=table, row=0, value=item.decode())
                    for item in absent[:NUM_EXAMPLES].to_pylist()
                ),
            ),
        )
        batch = batch.filter(pa.array(is_known))
    return batch, Findings(rows={table: len(rows)}, findings=findings)


class WriteSummary(beam.PTransform):
    """Adds up findings and counts, int64 `[num_items]` or None, and writes them as JSON."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def expand(self, parts: Any) -> Any:
        return (
            parts
            | "Sum" >> beam.CombineGlobally(_Sum())
            | "Json" >> beam.Map(_summary_json)
            | "Write" >> beam.io.WriteToText(self._path, shard_name_template="")
        )


class _Sum(beam.CombineFn):
    """Adds each part as it comes: a catalogue's counts are as long as it is."""

    def create_accumulator(self) -> Summary:
        return Findings(), None

    def add_input(self, mutable_accumulator: Summary, element: Summary) -> Summary:
        findings, counts = mutable_accumulator
        part, part_counts = element
        if counts is None or part_counts is None:
            counts = part_counts if counts is None else counts
        else:
            counts = counts + part_counts
        return findings + part, counts

    def merge_accumulators(self, accumulators: Iterable[Summary]) -> Summary:
        return functools.reduce(self.add_input, accumulators, self.create_accumulator())

    def extract_output(self, accumulator: Summary) -> Summary:
        return accumulator


def _summary_json(summary: Summary) -> str:
    findings, counts = summary
    written: dict[str, Any] = {"findings": findings.to_json()}
    if counts is not None:
        written["item_counts"] = counts.tolist()
    return json.dumps(written)
