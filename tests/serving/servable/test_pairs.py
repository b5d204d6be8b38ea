from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.item_table import ItemTable
from serving.servable.facets import Facets
from serving.servable.rules import Limits, Rules
from tests import tiny

VALUES = ["red", "blue", "a,b", "new\nline", "x=y", "rare"]


def draw_tags() -> list[list[str]]:
    """One to five tags of each item; some have none, which is the value ""."""
    rng = np.random.default_rng(4)
    numbers = rng.integers(0, 6, len(tiny.IDS))
    tags = [rng.permutation(VALUES[:5])[:number].tolist() for number in numbers]
    return [row or [""] for row in tags[:-1]] + [["rare", "red"]]


TAGS = draw_tags()
COLUMNS = {"tags": TAGS, "colour": [[colour] for colour in tiny.COLOURS], "more": TAGS[::-1]}


class Answering(tf.Module):
    """The rules and facets of a catalogue, as a servable has them."""

    def __init__(self, items: ItemTable) -> None:
        super().__init__()
        self.rules = Rules(items)
        self.facets = Facets(self.rules, {})

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string),
            tf.TensorSpec([None, None], tf.string),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, None], tf.bool),
        ]
    )
    def __call__(
        self, filters: tf.Tensor, boosts: tf.Tensor, rows: tf.Tensor, is_match: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        counts = self.facets(is_match, tf.constant(100))
        return {
            "allowed": self.rules.allowed(Limits(filters, tf.zeros([tf.shape(filters)[0]], tf.int64))),
            "boosts": self.rules.boosts(boosts, rows),
            "values": counts.values,
            "counts": counts.counts,
        }


@pytest.fixture(scope="module", params=["as made", "as saved"])
def answering(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    items = dataclasses.replace(
        tiny.shared_model()[0],
        categories=tuple(tiny.make_categories(name, values) for name, values in COLUMNS.items()),
        available=np.ones(len(tiny.IDS), bool),
    )
    module = Answering(items)
    if request.param == "as made":
        return module
    path = str(tmp_path_factory.mktemp("saved"))
    tf.saved_model.save(module, path)
    return tf.saved_model.load(path)


def ask(
    answering: Any,
    *,
    filters: list[list[str]] | None = None,
    boosts: list[list[str]] | None = None,
    is_match: list[np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """The answers of as many rows as one of the arguments has."""
    batch = len(filters or boosts or is_match or [])
    none = tf.zeros([batch, 0], tf.string)
    found = answering(
        tf.constant(filters) if filters else none,
        tf.constant(boosts) if boosts else none,
        tf.tile(tf.range(len(tiny.IDS))[None, ::-1], [batch, 1]),
        tf.constant(is_match) if is_match is not None else tf.zeros([batch, len(tiny.IDS)], tf.bool),
    )
    return {name: values.numpy() for name, values in found.items()}


def passes(item: int, filters: list[str]) -> bool:
    """By any of its values, and by none that is unwanted."""
    wanted: dict[str, set[str]] = {}
    for text in filter(None, filters):
        column, _, value = text.partition("=")
        has = COLUMNS[column.removesuffix("!")][item]
        if column.endswith("!") and value in has:
            return False
        if not column.endswith("!"):
            wanted.setdefault(column, set()).add(value)
    return all(values & set(COLUMNS[column][item]) for column, values in wanted.items())


def test_item_matches_by_any_of_its_values(answering: Any) -> None:
    rng = np.random.default_rng(0)
    pool = [f"{name}{is_not}={value}" for name in COLUMNS for is_not in ("", "!") for value in (*VALUES, "")]
    filters = rng.choice([*pool, "colour=red", "tags=unknown", "tags!=unknown", *[""] * 30], (80, 4)).tolist()

    found = ask(answering, filters=filters)["allowed"]

    expected = [[passes(item, row) for item in range(len(tiny.IDS))] for row in filters]
    np.testing.assert_array_equal(found, expected)
    assert 0.1 < np.mean(expected) < 0.9


def test_boosts_of_each_value_multiply(answering: Any) -> None:
    boosts = [["tags=red:2", "tags=a,b:5", "colour=blue:0.5"], ["more=x=y:3", "tags=unknown:9", ""]]

    found = ask(answering, boosts=boosts)["boosts"]

    expected_factors: list[dict[str, float]] = [
        {"tags=red": 2.0, "tags=a,b": 5.0, "colour=blue": 0.5},
        {"more=x=y": 3.0},
    ]
    for row, factors in enumerate(expected_factors):
        for place, item in enumerate(range(len(tiny.IDS))[::-1]):
            pairs = [f"{name}={value}" for name, column in COLUMNS.items() for value in column[item]]
            expected = sum(np.log(factors.get(pair, 1)) for pair in pairs)
            np.testing.assert_allclose(found[row, place], expected, atol=1e-6)


def test_facets_count_each_value_of_an_item_once(answering: Any) -> None:
    is_match = np.random.default_rng(1).random((4, len(tiny.IDS))) < [[0.0], [0.3], [0.7], [1.0]]

    found = ask(answering, is_match=list(is_match))

    for matches, values, counts in zip(is_match, found["values"], found["counts"], strict=True):
        expected = Counter(
            f"{name}={value}".encode()
            for name, column in COLUMNS.items()
            for item in np.flatnonzero(matches)
            for value in column[item]
            if value
        )
        shown = dict(zip(values.tolist(), counts.tolist(), strict=True))
        assert {value: count for value, count in shown.items() if count} == expected
        assert counts.tolist() == sorted(counts.tolist(), reverse=True)


def test_no_rows_are_no_answers(answering: Any) -> None:
    none, no_rows = tf.zeros([0, 2], tf.string), tf.zeros([0, 3], tf.int32)
    found = answering(none, none, no_rows, tf.zeros([0, len(tiny.IDS)], tf.bool))

    assert found["boosts"].shape == (0, 3)
    assert found["counts"].shape[0] == 0
