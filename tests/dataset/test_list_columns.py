"""Lists in a column: several texts, several values of a category, and refused where one value is meant."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa
import pytest

from dataset.columns import (
    normalise_items,
    normalise_users,
)
from dataset.contract import (
    ItemsTable,
    UsersTable,
)
from dataset.errors import DataError
from tests.dataset.batches import (
    ITEMS,
    WHERE,
    batch_of,
    items_batch,
)

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
        batch_of(id=["1", "2", "3", "4"], title=["a"] * 4, body=body, price=["1"] * 4), ITEMS, WHERE
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
    assert normalise_items(items_batch(body=column), ITEMS, WHERE).batch["body"].to_pylist() == texts


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
        normalise_items(items_batch(**columns), table, WHERE)


def test_list_as_a_users_category_is_refused_by_name() -> None:
    table = UsersTable(path=("t",), id="id", numeric={}, categorical=("land",))

    with pytest.raises(DataError, match=r'"land" must hold one value in each row, as a user\'s category is'):
        normalise_users(batch_of(id=["1"], land=[["de", "at"]]), table, WHERE)


BY_TAGS = ItemsTable(path=("t",), id="id", text=("title",), numeric={}, categorical=("tags",))


def _tags(column: Any, table: ItemsTable = BY_TAGS) -> list[list[str]]:
    column = column if isinstance(column, pa.Array) else pa.array(column)
    ids = [str(row) for row in range(len(column))]
    found = normalise_items(batch_of(id=ids, title=["a"] * len(ids), tags=column), table, WHERE).batch["tags"]
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


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (
            [None, [{"name": "red"}]],
            r'row 102: column "tags" must hold text in UTF-8\. Got \[\{\'name\': \'red\'\}\]',
        ),
        ([[["red"], ["big"]], None], r"row 101: .* Got \[\['red'\], \['big'\]\]"),
        ([{"json": '["red"]'}, {"json": '["red", ["big"]]'}], r"row 102: .* Got \['red', \['big'\]\]"),
    ],
)
def test_objects_and_nested_lists_are_refused_with_their_row(column: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        _tags(pa.array(column))
