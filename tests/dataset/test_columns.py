from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dataset.columns import (
    normalise_events,
    normalise_items,
    normalise_users,
)
from dataset.contract import (
    ItemsTable,
    Range,
    UsersTable,
)
from dataset.errors import DataError
from dataset.labels import as_label
from dataset.raw_rows import Where
from dataset.times import FIRST, LAST, LAST_YEAR
from dataset.values import as_labels
from tests.dataset.batches import (
    EVENTS,
    ITEMS,
    WHERE,
    batch_of,
    events_batch,
    found_in,
    items_batch,
)


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
    assert normalise_items(items_batch(id=ids), ITEMS, WHERE).batch["item_id"].to_pylist() == expected


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
    batch = batch_of(
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
    normal = normalise_items(items_batch(id=[None, "2"]), ITEMS, WHERE)

    assert normal.batch["item_id"].to_pylist() == ["2"]
    assert normal.rows.tolist() == [102]
    assert found_in(normal) == {"missing_ids": (1, [101], [""])}


def test_item_whose_every_text_is_empty_is_counted_and_kept() -> None:
    normal = normalise_items(items_batch(title=["", " "], body=["x", None]), ITEMS, WHERE)

    assert normal.batch.num_rows == 2
    assert found_in(normal) == {"empty_text": (1, [102], [" "])}


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
    normal = normalise_items(items_batch(price=prices), ITEMS, WHERE)

    assert normal.batch["price"].to_pylist() == expected
    assert list(found_in(normal)) == [rule]


@pytest.mark.parametrize(
    "prices", [["", "NA"], [None, None], pa.nulls(2), [True, False], pa.array([1, 2], pa.int8())]
)
def test_missing_number_is_null_and_no_finding(prices: Any) -> None:
    assert found_in(normalise_items(items_batch(price=prices), ITEMS, WHERE)) == {}


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

    normal = normalise_items(items_batch(starts=starts), table, WHERE)

    assert normal.batch["available_from"].to_pylist() == expected
    assert "available_until" not in normal.batch.schema.names
    assert found_in(normal) == ({"bad_times": rule} if rule else {})


def test_time_of_availability_in_days_is_counted_and_used() -> None:
    table = dataclasses.replace(ITEMS, available_until="ends")

    normal = normalise_items(items_batch(ends=[45000, 1704153600]), table, WHERE)

    assert normal.batch["available_until"].to_pylist() == [45000, 1704153600]
    assert found_in(normal) == {"unlikely_times": (1, [101], ["45000"])}


@pytest.mark.parametrize("never", [253402300799, 253402214400, 253402300799000, "253402300799", "9999-12-31"])
def test_last_year_there_is_bounds_nothing(never: Any) -> None:
    table = dataclasses.replace(ITEMS, available_until="ends")

    normal = normalise_items(items_batch(ends=[never, type(never)(1704153600)]), table, WHERE)

    end, other = normal.batch["available_until"].to_pylist()
    assert LAST_YEAR <= end <= LAST
    assert other == 1704153600
    assert found_in(normal) == {}


def test_item_that_ends_before_it_starts_is_counted_and_kept() -> None:
    table = dataclasses.replace(ITEMS, available_from="starts", available_until="ends")
    times = {"starts": ["2024-01-02", "2024-01-02"], "ends": ["2024-01-01", "2024-01-03"]}

    normal = normalise_items(items_batch(**times), table, WHERE)
    same = normalise_items(
        items_batch(**times | {"ends": ["2024-01-02T00:00:01", "2024-01-02"]}), table, WHERE
    )
    open_ = normalise_items(items_batch(**times | {"ends": ["", "nonsense"]}), table, WHERE)

    assert normal.batch["available_until"].to_pylist() == [1704067200, 1704240000]
    assert found_in(normal) == {"reversed_times": (1, [101], ["2024-01-01"])}
    assert found_in(same) == {"reversed_times": (1, [102], ["2024-01-02"])}
    assert list(found_in(open_)) == ["bad_times"]


def test_column_of_objects_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r't\.csv, row 101: column "title" must hold text'):
        normalise_items(items_batch(title=[{"a": 1}, {"a": 2}]), ITEMS, WHERE)


def test_users_have_canonical_columns() -> None:
    table = UsersTable(path=("t",), id="id", numeric={"age": Range(max=150)}, categorical=("land",))

    normal = normalise_users(batch_of(id=[1.0, 2.0], age=[30, 200], land=["NO", None]), table, WHERE)

    assert normal.batch.to_pydict() == {"user_id": ["1", "2"], "land": ["NO", ""], "age": [30.0, None]}
    assert found_in(normal) == {"out_of_range": (1, [102], ["200"])}


def test_findings_do_not_depend_on_how_rows_are_batched() -> None:
    rng = np.random.default_rng(0)
    times = rng.choice(["20230115", "1", "never", ""], 100).tolist()
    whole = normalise_events(events_batch(u=["u"] * 100, i=["i"] * 100, t=times), EVENTS, WHERE).findings

    parts = [
        normalise_events(
            events_batch(u=["u"] * 10, i=["i"] * 10, t=times[start : start + 10]),
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
    normal = normalise_items(items_batch(id=[None, "2"]), ITEMS, WHERE)

    copy = pickle.loads(pickle.dumps(normal))

    assert copy.batch.equals(normal.batch)
    assert copy.findings == normal.findings


def test_word_for_a_missing_id_is_a_missing_id() -> None:
    users = ["nan", "NULL", "\\N", "None", "NA", " undefined ", "nana", "-1", "none of them"]
    table = dataclasses.replace(EVENTS, session="s")

    normal = normalise_events(
        events_batch(u=users, i=["1"] * 9, t=["2024-01-01"] * 9, s=["nan", *"abcdefgh"]), table, WHERE
    )

    assert normal.batch["user_id"].to_pylist() == ["nana", "-1", "none of them"]
    assert found_in(normal) == {"missing_ids": (6, [101, 102, 103], ["nan", "NULL", "\\N"])}


def test_what_means_missing_is_the_manifests_to_say() -> None:
    table = dataclasses.replace(EVENTS, session="s", missing_ids=("-1", "anonymous"))

    normal = normalise_events(
        events_batch(u=[-1, 7, None], i=["NA", "NA", "1"], t=["2024-01-01"] * 3, s=["x", "anonymous", "y"]),
        table,
        WHERE,
    )

    assert normal.batch.select(["user_id", "item_id", "session"]).to_pylist() == [
        {"user_id": "7", "item_id": "NA", "session": ""}
    ]


def test_decimal_commas_are_read_where_the_file_has_them() -> None:
    batch = items_batch(price=["1.234,50", "-0,5"]).replace_schema_metadata({b"decimal_mark": b","})

    assert normalise_items(batch, dataclasses.replace(ITEMS, numeric={"price": Range()}), WHERE).batch[
        "price"
    ].to_pylist() == [1234.5, -0.5]


def test_html_in_texts_is_found_and_stays() -> None:
    normal = normalise_items(items_batch(title=["<b>a</b>", "b"], body=["", "c &amp; d"]), ITEMS, WHERE)

    assert normal.batch["title"].to_pylist() == ["<b>a</b>", "b"]
    assert [(f.rule, f.column, f.count) for f in normal.findings.findings] == [
        ("markup", "title", 1),
        ("markup", "body", 1),
    ]


def test_html_is_taken_off_texts_and_not_off_other_columns() -> None:
    table = dataclasses.replace(ITEMS, strip_markup=True, categorical=("brand", "title"), codes=("code",))
    raw = items_batch(
        title=["<b>a</b>", "b"], body=["<br>", "c &amp; d"], brand=["A&amp;B", ""], code=["<1>", "2"]
    )

    batch, _, findings = normalise_items(raw, table, WHERE)

    assert batch["title"].to_pylist() == [["a"], ["b"]]
    assert batch["body"].to_pylist() == ["", "c & d"]
    assert batch["brand"].to_pylist() == [["A&amp;B"], [""]]
    assert findings.findings == ()


def test_text_of_nothing_but_html_is_empty() -> None:
    table = dataclasses.replace(ITEMS, strip_markup=True)

    normal = normalise_items(items_batch(title=["<br>", "b"], body=["<p></p>", ""]), table, WHERE)

    assert [(f.rule, f.count) for f in normal.findings.findings] == [("empty_text", 1)]
