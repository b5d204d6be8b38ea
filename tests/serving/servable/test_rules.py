from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models.item_table import ItemTable
from serving.servable.rules import Limits, Rules
from tests import tiny

NAN = float("nan")
AGES = [0.0, -1.5, NAN, 30.0, 20.0, 0.1, 10.0, 1e30, -40.0, 1e300, NAN, 5.0]


@pytest.fixture(scope="module")
def items() -> ItemTable:
    return tiny.shared_model()[0]


@pytest.fixture(scope="module")
def rules(items: ItemTable) -> Rules:
    return Rules(items, {"price": np.array(tiny.PRICES), "age": np.array(AGES)})


def allowed(rules: Rules, *, filters: list[list[str]]) -> np.ndarray:
    """bool ``[batch, num_items]``."""
    width = max(len(row) for row in filters)
    padded = [row + [""] * (width - len(row)) for row in filters]
    given = tf.constant(padded, tf.string, (len(filters), width))
    found = rules.allowed(Limits.of(given, tf.zeros([len(filters)], tf.int64))).numpy()
    return np.broadcast_to(found, (len(filters), found.shape[1]))


def test_without_rules_all_that_is_available_is_allowed(rules: Rules, items: ItemTable) -> None:
    np.testing.assert_array_equal(allowed(rules, filters=[[], []]), [items.available] * 2)


def test_values_of_a_column_are_alternatives_and_columns_must_all_hold(
    rules: Rules, items: ItemTable
) -> None:
    rng = np.random.default_rng(0)
    pool = [
        "room=hall",
        "room=kitchen",
        "room=",
        "room=attic",
        "colour=red",
        "colour=blue",
        "size=big",
        "",
        "",
    ]
    filters = rng.choice(pool, (60, 3)).tolist()
    found = allowed(rules, filters=filters)

    for row, given in zip(found, filters, strict=True):
        wanted: dict[str, set[str]] = {}
        for text in given:
            if text:
                column, _, value = text.partition("=")
                wanted.setdefault(column, set()).add(value)
        tags = [{"room": r, "colour": c} for r, c in zip(tiny.ROOMS, tiny.COLOURS, strict=True)]
        passes = [all(tag.get(column) in values for column, values in wanted.items()) for tag in tags]
        assert row.tolist() == (np.array(passes) & items.available).tolist(), given


def test_value_may_hold_an_equals_sign(items: ItemTable) -> None:
    odd = Rules(tiny.with_rooms(items, {5: ["a=b=c"]}))

    assert np.flatnonzero(allowed(odd, filters=[["room=a=b=c"]])[0]).tolist() == [5]


def test_value_may_be_any_text(items: ItemTable) -> None:
    odd = Rules(tiny.with_rooms(items, {5: ["Küche, groß\nund hell"], 6: [" hall"]}))

    assert np.flatnonzero(allowed(odd, filters=[["room=Küche, groß\nund hell"]])[0]).tolist() == [5]
    assert np.flatnonzero(allowed(odd, filters=[["room= hall"]])[0]).tolist() == [6]


def test_catalogue_without_categories_passes_no_filter(items: ItemTable) -> None:
    bare = Rules(dataclasses.replace(items, categories=()))

    np.testing.assert_array_equal(allowed(bare, filters=[["room=hall"], [""]])[0], False)
    np.testing.assert_array_equal(allowed(bare, filters=[["room=hall"], [""]])[1], items.available)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        # Rooms: hall 3 5 6 9, garden 4 8, none 7, kitchen the rest.
        (["room!=hall"], [0, 1, 2, 4, 7, 8, 10]),
        (["room!=hall", "room!=kitchen"], [4, 7, 8]),
        (["room!="], [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]),
        (["room!=attic"], list(range(11))),
        (["room!=hall", "room!=attic", ""], [0, 1, 2, 4, 7, 8, 10]),
        (["room=hall", "room!=hall"], []),
        (["room=hall", "room=garden", "room!=garden"], [3, 5, 6, 9]),
        (["room!=garden", "room=garden", "room=garden", "room=hall"], [3, 5, 6, 9]),
        (["room!=hall", "colour=red"], [0, 7, 10]),
        (["room!=hall", "colour!=red"], [1, 2, 4, 8]),
        (["place!=hall"], []),
        (["room!hall"], []),
        (["!=hall"], []),
    ],
)
def test_excluded_values_are_left_out(rules: Rules, filters: list[str], passes: list[int]) -> None:
    assert np.flatnonzero(allowed(rules, filters=[filters])[0]).tolist() == passes


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        # Prices: 3, 2, 9.5, 1, none, 4, 8, 4.5, 2.5, 1, 2.
        (["price<=2"], [1, 3, 9, 10]),
        (["price<2"], [3, 9]),
        (["price>=8"], [2, 6]),
        (["price>8"], [2]),
        (["price>=-1e3"], [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]),
        (["price>2", "price<=4"], [0, 5, 8]),
        (["price>2", "price>3", "price>=3", "price<8", "price<=9"], [5, 7]),
        (["price>=3", "price>3"], [2, 5, 6, 7]),
        (["price>4", "price<4"], []),
        (["price>=4", "price<=4"], [5]),
        (["price<=2", ""], [1, 3, 9, 10]),
        (["price<=2e0"], [1, 3, 9, 10]),
        (["price>.25e1"], [0, 2, 5, 6, 7]),
        (["price<1e999"], [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]),
        (["price<=1e999"], [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]),
        (["price>-1e999"], [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]),
        (["price>=1e999"], []),
        # Ages: 0, -1.5, none, 30, 20, 0.1, 10, 1e30, -40, 1e300, none.
        (["age>0"], [3, 4, 5, 6, 7, 9]),
        (["age>=0"], [0, 3, 4, 5, 6, 7, 9]),
        (["age>=-0"], [0, 3, 4, 5, 6, 7, 9]),
        (["age<0"], [1, 8]),
        (["age<=0.1", "age>-40"], [0, 1, 5]),
        (["age>1e20", "age<1e31"], [7]),
        (["age>1e31"], [9]),
        (["age>0", "price<4.5"], [3, 5, 9]),
        (["age>0", "price<4.5", "room=hall", "colour!=green"], [3, 5]),
        # A bound that is no number, and columns there are not.
        (["price<=cheap"], []),
        (["price<="], []),
        (["price<=2x"], []),
        (["price<= 2"], []),
        (["price<=+2"], []),
        (["price<=--2"], []),
        (["price<=nan"], []),
        (["price>=-inf"], []),
        (["price<==2"], []),
        (["price>=1", "price<=cheap"], []),
        (["cost<=2"], []),
        (["price<=2", "cost<=2"], []),
        (["<=2"], []),
        (["price"], []),
        # Equality is of the categorical columns, and ranges are of the numeric ones.
        (["price=2"], []),
        (["price!=2"], []),
        (["room<=2"], []),
    ],
)
def test_ranges_of_numbers_must_all_hold(rules: Rules, filters: list[str], passes: list[int]) -> None:
    assert np.flatnonzero(allowed(rules, filters=[filters])[0]).tolist() == passes


def test_each_row_of_a_batch_has_its_own_filters(rules: Rules, items: ItemTable) -> None:
    found = allowed(
        rules,
        filters=[["price<=2"], [], ["room!=hall", "price<=2"], ["cost<1"], ["room=hall", "room=garden"]],
    )

    assert [np.flatnonzero(row).tolist() for row in found] == [
        [1, 3, 9, 10],
        list(range(11)),
        [1, 10],
        [],
        [3, 4, 5, 6, 8, 9],
    ]


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        # The first operator behind the name of a column counts; what follows is the value.
        (["room=<5"], [1]),
        (["room=!=x"], [2]),
        (["room!=<5", "room!=!=x"], [3, 4]),
        (["room==5"], [3]),
        (["room!==5", "room!=<5"], [2, 4]),
        # Names of columns may hold operators, and begin with other names.
        (["size (cm)<=7.5"], [1, 2]),
        (["size (cm)<=7.5", "size<1"], [1]),
        (["is<18=yes"], [1, 3]),
        (["is<18!=yes"], [2, 4]),
        (["is=yes"], []),
    ],
)
def test_names_and_values_may_hold_operators(items: ItemTable, filters: list[str], passes: list[int]) -> None:
    rooms, is_minor = ["", "<5", "!=x", "=5", "x", *[""] * 7], ["", "yes", "no", "yes", "no", *[""] * 7]
    numbers = {"size": np.arange(12) - 0.5, "size (cm)": 5.0 + np.arange(12)}
    odd = Rules(
        dataclasses.replace(
            items,
            categories=(
                tiny.make_categories("room", [[room] for room in rooms]),
                tiny.make_categories("is<18", [[answer] for answer in is_minor]),
            ),
            available=(np.arange(12) > 0) & (np.arange(12) < 5),
        ),
        numbers,
    )

    assert np.flatnonzero(allowed(odd, filters=[filters])[0]).tolist() == passes


def test_catalogue_of_numbers_alone_has_ranges(items: ItemTable) -> None:
    bare = dataclasses.replace(items, categories=())
    found = allowed(
        Rules(bare, {"price": np.array(tiny.PRICES)}), filters=[["price<2"], ["room!=hall"], ["\0"]]
    )

    assert [np.flatnonzero(row).tolist() for row in found] == [[3, 9], [], []]
