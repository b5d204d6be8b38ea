"""Raw batches of each table, and what normalising them found."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from dataset.contract import (
    EventsTable,
    ItemsTable,
    Kind,
    KindRule,
    Range,
)
from dataset.raw_rows import Normalised, Where

WHERE = Where(file="t.csv", first_row=101)


ITEMS = ItemsTable(path=("t.csv",), id="id", text=("title", "body"), numeric={"price": Range(min=0.0)})


PURCHASE = KindRule(column=None, kinds={"purchase": Kind(label="purchase", weight=2.0)})


EVENTS = EventsTable(path=("t.csv",), user="u", item="i", time="t", kind=PURCHASE)


def batch_of(**columns: Any) -> pa.RecordBatch:
    return pa.record_batch(
        [c if isinstance(c, pa.Array) else pa.array(c) for c in columns.values()], list(columns)
    )


def events_batch(**columns: Any) -> pa.RecordBatch:
    return batch_of(**({"u": ["u1", "u2"], "i": ["1", "2"], "t": ["2024-01-01", "2024-01-02"]} | columns))


def items_batch(**columns: Any) -> pa.RecordBatch:
    return batch_of(
        **({"id": ["1", "2"], "title": ["a", "b"], "body": ["", "c"], "price": ["1", "2"]} | columns)
    )


def found_in(normal: Normalised) -> dict[str, tuple[int, list[int], list[str]]]:
    return {
        f.rule: (f.count, [e.row for e in f.examples], [e.value for e in f.examples])
        for f in normal.findings.findings
    }
