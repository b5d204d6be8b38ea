"""Columns of events and judgments: times, kinds, queries and grades."""

from __future__ import annotations

import pyarrow as pa

from dataset.columns import (
    QueryTexts,
    normalise_events,
    normalise_judgments,
)
from dataset.contract import (
    EventsTable,
    Grade,
    JudgmentsTable,
    Kind,
    KindRule,
)
from tests.dataset.batches import (
    EVENTS,
    PURCHASE,
    WHERE,
    batch_of,
    events_batch,
    found_in,
)

JUDGMENTS = JudgmentsTable(
    path=("t.csv",), query_id="q", query="text", item="i", grade=Grade(column="g", gains={"E": 1.0, "I": 0.0})
)


def test_events_have_canonical_columns() -> None:
    table = EventsTable(
        path=("t",), user="u", item="i", time="t", kind=PURCHASE, value="v", query="q", session="s"
    )

    batch = normalise_events(events_batch(v=["5", ""], q=["lamp", None], s=[1.0, None]), table, WHERE).batch

    assert batch.schema.field("time").type == pa.int64()
    assert batch.to_pydict() == {
        "user_id": ["u1", "u2"],
        "item_id": ["1", "2"],
        "time": [1704067200, 1704153600],
        "kind": ["purchase", "purchase"],
        "weight": [2.0, 2.0],
        "value": [5.0, None],
        "query": ["lamp", ""],
        "session": ["1", ""],
    }


def test_event_without_user_item_or_time_is_left_out_and_counted() -> None:
    batch = events_batch(
        u=["", "b", "c", "d"], i=["1", None, "3", "4"], t=["100000000", "100000000", "yesterday", "100000000"]
    )

    normal = normalise_events(batch, EVENTS, WHERE)

    assert normal.batch["user_id"].to_pylist() == ["d"]
    assert normal.rows.tolist() == [104]
    assert normal.findings.rows == {"events": 4}
    assert [(f.rule, f.column, f.count) for f in normal.findings.findings] == [
        ("missing_ids", "u", 1),
        ("missing_ids", "i", 1),
        ("bad_times", "t", 1),
    ]


def test_unparsable_times_are_named_by_the_first_three() -> None:
    times = ["100000000", "yesterday", "100000000", "today", "?", "!", "100000000"]

    normal = normalise_events(events_batch(u=["u"] * 7, i=["i"] * 7, t=times), EVENTS, WHERE)

    (finding,) = normal.findings.findings
    assert finding.sentence() == (
        't.csv, rows 102, 104, 105: column "t" must be ISO 8601 or epoch seconds. '
        'Got "yesterday", "today", "?", …'
    )


def test_kind_column_gives_label_and_weight() -> None:
    kinds = {"view": Kind(label="view"), "buy": Kind(label="purchase", weight=3.0)}
    table = EventsTable(path=("t",), user="u", item="i", time="t", kind=KindRule(column="k", kinds=kinds))
    batch = events_batch(u=["a", "b", "c"], i=["1", "2", "3"], t=[10**9] * 3, k=["buy", "view", "hover"])

    normal = normalise_events(batch, table, WHERE)

    assert normal.batch["kind"].to_pylist() == ["purchase", "view"]
    assert normal.batch["weight"].to_pylist() == [3.0, 1.0]
    assert found_in(normal) == {"unknown_kinds": (1, [103], ["hover"])}


def test_kind_column_without_kinds_takes_any() -> None:
    table = EventsTable(path=("t",), user="u", item="i", time="t", kind=KindRule(column="k", kinds={}))

    batch = normalise_events(events_batch(k=["a", "b"]), table, WHERE).batch

    assert batch["kind"].to_pylist() == ["a", "b"]
    assert batch["weight"].to_pylist() == [1.0, 1.0]


def test_judgments_take_the_text_of_their_query() -> None:
    queries = QueryTexts(ids=pa.array(["1", "2"]), texts=pa.array(["red lamp", "chair"]))
    batch = batch_of(q=[2, 1, 3], i=["x", "y", "z"], g=["E", "I", "E"])

    normal = normalise_judgments(batch, JUDGMENTS, WHERE, queries)

    assert normal.batch.to_pydict() == {
        "query_id": ["2", "1"],
        "query": ["chair", "red lamp"],
        "item_id": ["x", "y"],
        "grade": [1.0, 0.0],
    }
    assert found_in(normal) == {"unknown_queries": (1, [103], ["3"])}


def test_unknown_grade_is_left_out_and_counted() -> None:
    normal = normalise_judgments(
        batch_of(q=["1", "1"], text=["a", "a"], i=["x", "y"], g=["E", "Z"]), JUDGMENTS, WHERE
    )

    assert normal.batch["item_id"].to_pylist() == ["x"]
    assert found_in(normal) == {"unknown_grades": (1, [102], ["Z"])}


def test_numeric_grades_and_splits_are_taken_as_they_are() -> None:
    table = JudgmentsTable(path=("t",), query="q", item="i", grade=Grade(column="g", gains={}), split="s")

    normal = normalise_judgments(
        batch_of(q=["a", "b"], i=["x", "y"], g=["3", "0.5"], s=["dev", "test"]), table, WHERE
    )

    assert normal.batch["query_id"].to_pylist() == ["a", "b"]
    assert normal.batch["grade"].to_pylist() == [3.0, 0.5]
    assert normal.batch["split"].to_pylist() == ["validation", "test"]


def test_query_may_be_a_word_that_is_no_id() -> None:
    batch = batch_of(q=["1", "None"], text=["nan", "null"], i=["x", "y"], g=["E", "E"])

    assert normalise_judgments(batch, JUDGMENTS, WHERE).batch["query"].to_pylist() == ["nan"]
