from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models.item_table import ItemTable
from serving.servable.rules import Rules
from tests import tiny


@pytest.fixture(scope="module")
def items() -> ItemTable:
    return tiny.shared_model()[0]


@pytest.fixture(scope="module")
def rules(items: ItemTable) -> Rules:
    return Rules(items)


def allowed(rules: Rules, *, filters: list[list[str]]) -> np.ndarray:
    """bool ``[batch, num_items]``."""
    width = max(len(row) for row in filters)
    padded = [row + [""] * (width - len(row)) for row in filters]
    found = rules.allowed(tf.constant(padded, tf.string, (len(filters), width))).numpy()
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
    values = items.category_values.copy()
    values[5, 0] = b"a=b=c"
    odd = Rules(dataclasses.replace(items, category_values=values))

    assert np.flatnonzero(allowed(odd, filters=[["room=a=b=c"]])[0]).tolist() == [5]


def test_value_may_be_any_text(items: ItemTable) -> None:
    values = items.category_values.copy()
    values[5, 0], values[6, 0] = "Küche, groß\nund hell".encode(), b" hall"
    odd = Rules(dataclasses.replace(items, category_values=values))

    assert np.flatnonzero(allowed(odd, filters=[["room=Küche, groß\nund hell"]])[0]).tolist() == [5]
    assert np.flatnonzero(allowed(odd, filters=[["room= hall"]])[0]).tolist() == [6]


def test_catalogue_without_categories_passes_no_filter(items: ItemTable) -> None:
    bare = Rules(dataclasses.replace(items, category_names=(), category_values=items.category_values[:, :0]))

    np.testing.assert_array_equal(allowed(bare, filters=[["room=hall"], [""]])[0], False)
    np.testing.assert_array_equal(allowed(bare, filters=[["room=hall"], [""]])[1], items.available)
