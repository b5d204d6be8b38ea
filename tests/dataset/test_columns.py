from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dataset.columns import (
    QueryTexts,
    normalise_events,
    normalise_items,
    normalise_judgments,
    normalise_users,
)
from dataset.contract import (
    EventsTable,
    Grade,
    ItemsTable,
    JudgmentsTable,
    Kind,
    KindRule,
    Range,
    UsersTable,
)
from dataset.errors import DataError
from dataset.labels import as_label
from dataset.raw_rows import Normalised, Where
from dataset.times import FIRST
from dataset.values import as_labels

WHERE = Where(file="t.csv", first_row=101)
ITEMS = ItemsTable(path=("t.csv",), id="id", text=("title", "body"), numeric={"price": Range(min=0.0)})
PURCHASE = KindRule(column=None, kinds={"purchase": Kind(label="purchase", weight=2.0)})
EVENTS = EventsTable(path=("t.csv",), user="u", item="i", time="t", kind=PURCHASE)
JUDGMENTS = JudgmentsTable(
    path=("t.csv",), query_id="q", query="text", item="i", grade=Grade(column="g", gains={"E": 1.0, "I": 0.0})
)


def _batch(**columns: Any) -> pa.RecordBatch:
    return pa.record_batch(
        [c if isinstance(c, pa.Array) else pa.array(c) for c in columns.values()], list(columns)
    )


def _events(**columns: Any) -> pa.RecordBatch:
    return _batch(**({"u": ["u1", "u2"], "i": ["1", "2"], "t": ["2024-01-01", "2024-01-02"]} | columns))


def _items(**columns: Any) -> pa.RecordBatch:
    return _batch(
        **({"id": ["1", "2"], "title": ["a", "b"], "body": ["", "c"], "price": ["1", "2"]} | columns)
    )


def _found(normal: Normalised) -> dict[str, tuple[int, list[int], list[str]]]:
    return {
        f.rule: (f.count, [e.row for e in f.examples], [e.value for e in f.examples])
        for f in normal.findings.findings
    }


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["00123", " a "], ["00123", "a"]),
        (["12471.0", "1.50"], ["12471", "1.50"]),
        (["-7.0", "007.0"], ["-7", "007.0"]),
        ([12471.0, 1.5], ["12471", "1.5"]),
        ([7, 2**60], ["7", str(2**60)]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
        (pa.array([b"x", b"y"]), ["x", "y"]),
    ],
)
def test_ids_become_their_shortest_text(ids: Any, expected: list[str]) -> None:
    assert normalise_items(_items(id=ids), ITEMS, WHERE).batch["item_id"].to_pylist() == expected


@pytest.mark.parametrize(
    "text",
    [
        "12471.0",
        " 7 ",
        "-7.0",
        "0.0",
        "-0.0",
        "007.0",
        "1.00",
        "1e3",
        "1000.0\u00a0",
        "\u2028x\t",
        "\u0663.0",
    ],
)
def test_label_of_one_text_is_that_of_a_column(text: str) -> None:
    assert as_labels(pa.array([text])).to_pylist() == [as_label(text)]


def test_items_have_canonical_columns() -> None:
    table = ItemsTable(
        path=("t",),
        id="id",
        text=("title", "brand"),
        numeric={"n": Range()},
        categorical=("brand",),
        availability="ok",
    )
    batch = _batch(
        id=[1, 2, 3],
        title=[["a", "b"], None, ["c"]],
        brand=["x ", None, "1"],
        n=["1e3", "", " 2 "],
        ok=[True, False, None],
    )

    normal = normalise_items(batch, table, WHERE)

    lists = pa.list_(pa.string())
    assert normal.batch.schema.types == [pa.string(), pa.string(), lists, pa.float32(), pa.int64()]
    assert normal.batch.to_pydict() == {
        "item_id": ["1", "2", "3"],
        "title": ["a b", "", "c"],
        "brand": [["x"], [""], ["1"]],
        "n": [1000.0, None, 2.0],
        "available": [1, 0, 1],
    }
    assert normal.rows.tolist() == [101, 102, 103]


def test_item_without_id_is_left_out_and_counted() -> None:
    normal = normalise_items(_items(id=[None, "2"]), ITEMS, WHERE)

    assert normal.batch["item_id"].to_pylist() == ["2"]
    assert normal.rows.tolist() == [102]
    assert _found(normal) == {"missing_ids": (1, [101], [""])}


def test_item_whose_every_text_is_empty_is_counted_and_kept() -> None:
    normal = normalise_items(_items(title=["", " "], body=["x", None]), ITEMS, WHERE)

    assert normal.batch.num_rows == 2
    assert _found(normal) == {"empty_text": (1, [102], [" "])}


@pytest.mark.parametrize(
    ("prices", "expected", "rule"),
    [
        (["-1", "2"], [None, 2.0], "out_of_range"),
        ([-1.0, 2.0], [None, 2.0], "out_of_range"),
        (["nan", "2"], [None, 2.0], "bad_numbers"),
        (["1e99", "2"], [None, 2.0], "bad_numbers"),
        (["1,5", "2"], [None, 2.0], "bad_numbers"),
        ([float("inf"), 2.0], [None, 2.0], "bad_numbers"),
    ],
)
def test_wrong_number_is_counted_and_becomes_null(prices: Any, expected: list[Any], rule: str) -> None:
    normal = normalise_items(_items(price=prices), ITEMS, WHERE)

    assert normal.batch["price"].to_pylist() == expected
    assert list(_found(normal)) == [rule]


@pytest.mark.parametrize(
    "prices", [["", "NA"], [None, None], pa.nulls(2), [True, False], pa.array([1, 2], pa.int8())]
)
def test_missing_number_is_null_and_no_finding(prices: Any) -> None:
    assert _found(normalise_items(_items(price=prices), ITEMS, WHERE)) == {}


@pytest.mark.parametrize(
    ("starts", "expected", "rule"),
    [
        (["2024-01-02", "2024-01-01T10:00+02:00"], [1704153600, 1704096000], None),
        ([1704153600, None], [1704153600, FIRST], None),
        ([1704153600.0, float("nan")], [1704153600, FIRST], None),
        (["20240102", "1704153600000"], [1704153600, 1704153600], None),
        ([" ", "NaT"], [FIRST, FIRST], None),
        (pa.array([None, "2024-01-02"]).cast(pa.timestamp("us")), [FIRST, 1704153600], None),
        (pa.nulls(2), [FIRST, FIRST], None),
        (["0001-01-01", "9999-12-31"], [FIRST, 253402214400], None),
        (["soon", "2024-01-02"], [FIRST, 1704153600], (1, [101], ["soon"])),
        (["2024-01-02", "2024-02-30"], [1704153600, FIRST], (1, [102], ["2024-02-30"])),
    ],
)
def test_times_of_availability_are_seconds_and_missing_ones_no_bound(
    starts: Any, expected: list[int], rule: Any
) -> None:
    table = dataclasses.replace(ITEMS, available_from="starts")

    normal = normalise_items(_items(starts=starts), table, WHERE)

    assert normal.batch["available_from"].to_pylist() == expected
    assert "available_until" not in normal.batch.schema.names
    assert _found(normal) == ({"bad_times": rule} if rule else {})


def test_time_of_availability_in_days_is_counted_and_used() -> None:
    table = dataclasses.replace(ITEMS, available_until="ends")

    normal = normalise_items(_items(ends=[45000, 1704153600]), table, WHERE)

    assert normal.batch["available_until"].to_pylist() == [45000, 1704153600]
    assert _found(normal) == {"unlikely_times": (1, [101], ["45000"])}


def test_item_that_ends_before_it_starts_is_counted_and_kept() -> None:
    table = dataclasses.replace(ITEMS, available_from="starts", available_until="ends")
    times = {"starts": ["2024-01-02", "2024-01-02"], "ends": ["2024-01-01", "2024-01-03"]}

    normal = normalise_items(_items(**times), table, WHERE)
    same = normalise_items(_items(**times | {"ends": ["2024-01-02T00:00:01", "2024-01-02"]}), table, WHERE)
    open_ = normalise_items(_items(**times | {"ends": ["", "nonsense"]}), table, WHERE)

    assert normal.batch["available_until"].to_pylist() == [1704067200, 1704240000]
    assert _found(normal) == {"reversed_times": (1, [101], ["2024-01-01"])}
    assert _found(same) == {"reversed_times": (1, [102], ["2024-01-02"])}
    assert list(_found(open_)) == ["bad_times"]


def test_column_of_objects_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r't\.csv: column "title" must hold text'):
        normalise_items(_items(title=[{"a": 1}, {"a": 2}]), ITEMS, WHERE)


def test_users_have_canonical_columns() -> None:
    table = UsersTable(path=("t",), id="id", numeric={"age": Range(max=150)}, categorical=("land",))

    normal = normalise_users(_batch(id=[1.0, 2.0], age=[30, 200], land=["NO", None]), table, WHERE)

    assert normal.batch.to_pydict() == {"user_id": ["1", "2"], "land": ["NO", ""], "age": [30.0, None]}
    assert _found(normal) == {"out_of_range": (1, [102], ["200"])}


def test_events_have_canonical_columns() -> None:
    table = EventsTable(
        path=("t",), user="u", item="i", time="t", kind=PURCHASE, value="v", query="q", session="s"
    )

    batch = normalise_events(_events(v=["5", ""], q=["lamp", None], s=[1.0, None]), table, WHERE).batch

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
    batch = _events(
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

    normal = normalise_events(_events(u=["u"] * 7, i=["i"] * 7, t=times), EVENTS, WHERE)

    (finding,) = normal.findings.findings
    assert finding.sentence() == (
        't.csv, rows 102, 104, 105: column "t" must be ISO 8601 or epoch seconds. '
        'Got "yesterday", "today", "?", …'
    )


def test_kind_column_gives_label_and_weight() -> None:
    kinds = {"view": Kind(label="view"), "buy": Kind(label="purchase", weight=3.0)}
    table = EventsTable(path=("t",), user="u", item="i", time="t", kind=KindRule(column="k", kinds=kinds))
    batch = _events(u=["a", "b", "c"], i=["1", "2", "3"], t=[10**9] * 3, k=["buy", "view", "hover"])

    normal = normalise_events(batch, table, WHERE)

    assert normal.batch["kind"].to_pylist() == ["purchase", "view"]
    assert normal.batch["weight"].to_pylist() == [3.0, 1.0]
    assert _found(normal) == {"unknown_kinds": (1, [103], ["hover"])}


def test_kind_column_without_kinds_takes_any() -> None:
    table = EventsTable(path=("t",), user="u", item="i", time="t", kind=KindRule(column="k", kinds={}))

    batch = normalise_events(_events(k=["a", "b"]), table, WHERE).batch

    assert batch["kind"].to_pylist() == ["a", "b"]
    assert batch["weight"].to_pylist() == [1.0, 1.0]


def test_judgments_take_the_text_of_their_query() -> None:
    queries = QueryTexts(ids=pa.array(["1", "2"]), texts=pa.array(["red lamp", "chair"]))
    batch = _batch(q=[2, 1, 3], i=["x", "y", "z"], g=["E", "I", "E"])

    normal = normalise_judgments(batch, JUDGMENTS, WHERE, queries)

    assert normal.batch.to_pydict() == {
        "query_id": ["2", "1"],
        "query": ["chair", "red lamp"],
        "item_id": ["x", "y"],
        "grade": [1.0, 0.0],
    }
    assert _found(normal) == {"unknown_queries": (1, [103], ["3"])}


def test_unknown_grade_is_left_out_and_counted() -> None:
    normal = normalise_judgments(
        _batch(q=["1", "1"], text=["a", "a"], i=["x", "y"], g=["E", "Z"]), JUDGMENTS, WHERE
    )

    assert normal.batch["item_id"].to_pylist() == ["x"]
    assert _found(normal) == {"unknown_grades": (1, [102], ["Z"])}


def test_numeric_grades_and_splits_are_taken_as_they_are() -> None:
    table = JudgmentsTable(path=("t",), query="q", item="i", grade=Grade(column="g", gains={}), split="s")

    normal = normalise_judgments(
        _batch(q=["a", "b"], i=["x", "y"], g=["3", "0.5"], s=["dev", "test"]), table, WHERE
    )

    assert normal.batch["query_id"].to_pylist() == ["a", "b"]
    assert normal.batch["grade"].to_pylist() == [3.0, 0.5]
    assert normal.batch["split"].to_pylist() == ["validation", "test"]


def test_findings_do_not_depend_on_how_rows_are_batched() -> None:
    rng = np.random.default_rng(0)
    times = rng.choice(["20230115", "1", "never", ""], 100).tolist()
    whole = normalise_events(_events(u=["u"] * 100, i=["i"] * 100, t=times), EVENTS, WHERE).findings

    parts = [
        normalise_events(
            _events(u=["u"] * 10, i=["i"] * 10, t=times[start : start + 10]),
            EVENTS,
            Where(file="t.csv", first_row=101 + start),
        ).findings
        for start in range(0, 100, 10)
    ]
    forwards, backwards = parts[0], parts[-1]
    for part in parts[1:]:
        forwards += part
    for part in parts[-2::-1]:
        backwards += part

    assert forwards == backwards == whole


def test_what_workers_exchange_can_be_pickled() -> None:
    normal = normalise_items(_items(id=[None, "2"]), ITEMS, WHERE)

    copy = pickle.loads(pickle.dumps(normal))

    assert copy.batch.equals(normal.batch)
    assert copy.findings == normal.findings


_TAGS = [["for the lamp", None, "Acme"], None, [], ["x", " ", "y "]]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.list_(pa.large_string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
    ],
)
def test_list_is_the_text_of_its_values_without_null(kind: pa.DataType) -> None:
    body = pa.array(_TAGS, pa.list_(pa.string())).cast(kind)

    normal = normalise_items(
        _batch(id=["1", "2", "3", "4"], title=["a"] * 4, body=body, price=["1"] * 4), ITEMS, WHERE
    )

    assert normal.batch["body"].to_pylist() == ["for the lamp Acme", "", "", "x y"]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([["a", None], ["b", "c"]], pa.list_(pa.large_string(), 2)), ["a", "b c"]),
        (pa.array([["a", "b"], None, ["c", "d"]], pa.list_(pa.string(), 2)).slice(1), ["", "c d"]),
        (pa.array([[], [None]]), ["", ""]),
        (pa.array([[1, 2], [None]]), ["1 2", ""]),
        (pa.array([[1.0, 2.5], []]), ["1 2.5", ""]),
        (pa.array([[True], [False, True]]), ["true", "false true"]),
        (pa.array([["x"], ["a", "b"], ["c"]]).slice(1), ["a b", "c"]),
    ],
)
def test_lists_of_every_kind_are_joined(column: pa.Array, texts: list[str]) -> None:
    assert normalise_items(_items(body=column), ITEMS, WHERE).batch["body"].to_pylist() == texts


@pytest.mark.parametrize(
    ("table", "columns", "reason"),
    [
        (
            ItemsTable(path=("t",), id="id", text=("title",), numeric={}, codes=("price",)),
            {"price": pa.array([["Kitchen", "Gifts"], None], pa.large_list(pa.large_string()))},
            "it is compared as a whole",
        ),
        (ITEMS, {"id": [["1"], ["2"]]}, "it is compared as a whole"),
    ],
)
def test_list_where_there_is_one_value_is_refused_by_name(
    table: ItemsTable, columns: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DataError, match=rf"must hold one value in each row, as {reason}\. Got lists"):
        normalise_items(_items(**columns), table, WHERE)


def test_list_as_a_users_category_is_refused_by_name() -> None:
    table = UsersTable(path=("t",), id="id", numeric={}, categorical=("land",))

    with pytest.raises(DataError, match=r'"land" must hold one value in each row, as a user\'s category is'):
        normalise_users(_batch(id=["1"], land=[["de", "at"]]), table, WHERE)


BY_TAGS = ItemsTable(path=("t",), id="id", text=("title",), numeric={}, categorical=("tags",))


def _tags(column: Any, table: ItemsTable = BY_TAGS) -> list[list[str]]:
    column = column if isinstance(column, pa.Array) else pa.array(column)
    ids = [str(row) for row in range(len(column))]
    found = normalise_items(_batch(id=ids, title=["a"] * len(ids), tags=column), table, WHERE).batch["tags"]
    assert found.type == pa.list_(pa.string())
    return found.to_pylist()


def test_category_is_in_one_line() -> None:
    assert _tags(["Kitchen \r\n & Garden", "a\rb"]) == [["Kitchen & Garden"], ["a b"]]
    assert _tags([["Kitchen \n & Garden", "a"], ["a\rb"]]) == [["Kitchen & Garden", "a"], ["a b"]]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.list_(pa.large_string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
    ],
)
def test_categories_of_a_list_are_its_different_values_in_their_order(kind: pa.DataType) -> None:
    tags = [["red", None, "blue, dark", " red "], None, [], ["", "x"], [None], ["b\x1fc", "red"]]

    assert _tags(pa.array(tags, pa.list_(pa.string())).cast(kind)) == [
        ["red", "blue, dark"],
        [""],
        [""],
        ["x"],
        [""],
        ["b\x1fc", "red"],
    ]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([["a", "b"], None, ["c", "c"]], pa.list_(pa.string(), 2)), [["a", "b"], [""], ["c"]]),
        (pa.array([["a", "b"], None, ["c", None]], pa.list_(pa.string(), 2)).slice(1), [[""], ["c"]]),
        (pa.array([["x"], ["a", "b"], ["c"]]).slice(1), [["a", "b"], ["c"]]),
        (pa.array([[1, 2, 1], [None]]), [["1", "2"], [""]]),
        (pa.array([[1.0, 2.5], []]), [["1", "2.5"], [""]]),
        (pa.array([[True], [False, True]]), [["true"], ["false", "true"]]),
        (pa.array([], pa.list_(pa.string())), []),
        (pa.array([], pa.string()), []),
    ],
)
def test_lists_of_every_kind_are_categories(column: pa.Array, values: list[list[str]]) -> None:
    assert _tags(column) == values


def test_separator_parts_the_values_of_a_text() -> None:
    table = dataclasses.replace(BY_TAGS, separator={"tags": "|"})

    assert _tags(["red| blue |red", None, "|", "a,b\n|c"], table) == [
        ["red", "blue"],
        [""],
        [""],
        ["a,b", "c"],
    ]
    # As a JSON column that has a list in another row.
    assert _tags([["red|blue", "green"]], table) == [["red", "blue", "green"]]


def test_list_that_is_text_and_category_loses_its_html_value_by_value() -> None:
    table = dataclasses.replace(BY_TAGS, text=("tags",), strip_markup=True)

    assert _tags([["<b>a</b>", "a", "b &amp; c"], ["<br>"]], table) == [["a", "b & c"], [""]]


def test_lists_of_objects_are_no_categories() -> None:
    with pytest.raises(DataError, match=r'column "tags" must hold text in UTF-8\. Got values of type list'):
        _tags(pa.array([[{"name": "red"}]]))


def test_word_for_a_missing_id_is_a_missing_id() -> None:
    users = ["nan", "NULL", "\\N", "None", "NA", " undefined ", "nana", "-1", "none of them"]
    table = dataclasses.replace(EVENTS, session="s")

    normal = normalise_events(
        _events(u=users, i=["1"] * 9, t=["2024-01-01"] * 9, s=["nan", *"abcdefgh"]), table, WHERE
    )

    assert normal.batch["user_id"].to_pylist() == ["nana", "-1", "none of them"]
    assert _found(normal) == {"missing_ids": (6, [101, 102, 103], ["nan", "NULL", "\\N"])}


def test_what_means_missing_is_the_manifests_to_say() -> None:
    table = dataclasses.replace(EVENTS, session="s", missing_ids=("-1", "anonymous"))

    normal = normalise_events(
        _events(u=[-1, 7, None], i=["NA", "NA", "1"], t=["2024-01-01"] * 3, s=["x", "anonymous", "y"]),
        table,
        WHERE,
    )

    assert normal.batch.select(["user_id", "item_id", "session"]).to_pylist() == [
        {"user_id": "7", "item_id": "NA", "session": ""}
    ]


def test_query_may_be_a_word_that_is_no_id() -> None:
    batch = _batch(q=["1", "None"], text=["nan", "null"], i=["x", "y"], g=["E", "E"])

    assert normalise_judgments(batch, JUDGMENTS, WHERE).batch["query"].to_pylist() == ["nan"]


def test_decimal_commas_are_read_where_the_file_has_them() -> None:
    batch = _items(price=["1.234,50", "-0,5"]).replace_schema_metadata({b"decimal_mark": b","})

    assert normalise_items(batch, dataclasses.replace(ITEMS, numeric={"price": Range()}), WHERE).batch[
        "price"
    ].to_pylist() == [1234.5, -0.5]


def test_html_in_texts_is_found_and_stays() -> None:
    normal = normalise_items(_items(title=["<b>a</b>", "b"], body=["", "c &amp; d"]), ITEMS, WHERE)

    assert normal.batch["title"].to_pylist() == ["<b>a</b>", "b"]
    assert [(f.rule, f.column, f.count) for f in normal.findings.findings] == [
        ("markup", "title", 1),
        ("markup", "body", 1),
    ]


def test_html_is_taken_off_texts_and_not_off_other_columns() -> None:
    table = dataclasses.replace(ITEMS, strip_markup=True, categorical=("brand", "title"), codes=("code",))
    raw = _items(
        title=["<b>a</b>", "b"], body=["<br>", "c &amp; d"], brand=["A&amp;B", ""], code=["<1>", "2"]
    )

    batch, _, findings = normalise_items(raw, table, WHERE)

    assert batch["title"].to_pylist() == [["a"], ["b"]]
    assert batch["body"].to_pylist() == ["", "c & d"]
    assert batch["brand"].to_pylist() == [["A&amp;B"], [""]]
    assert findings.findings == ()


def test_text_of_nothing_but_html_is_empty() -> None:
    table = dataclasses.replace(ITEMS, strip_markup=True)

    normal = normalise_items(_items(title=["<br>", "b"], body=["<p></p>", ""]), table, WHERE)

    assert [(f.rule, f.count) for f in normal.findings.findings] == [("empty_text", 1)]
