from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.categories import MAX_EMBEDDED, CategoryPositions, Lists
from tests.tiny import make_categories

TAGS = [["red", "lamp"], [""], ["lamp", "new, unused", "red"], ["blue"], ["\n", "red"]]
VOCABULARY = ["red", "lamp", "blue", "new, unused"]
OTHER = [["a"], ["b"], ["a"], [""], ["b"]]


def test_lists_are_taken_by_row() -> None:
    lists = Lists.of(np.array([3, 1, 4, 1, 5, 9]), np.array([2, 0, 3, 1]))

    taken = lists[np.array([3, 0, 1, 0])]

    assert lists.owners.tolist() == [0, 0, 2, 2, 2, 3]
    assert (taken.values.tolist(), taken.lengths.tolist()) == ([9, 3, 1, 3, 1], [1, 2, 0, 2])
    assert lists[np.zeros(0, np.int64)].values.tolist() == []


def test_lists_are_concatenated() -> None:
    parts = [Lists.of(np.array([7, 8]), np.array([1, 1])), Lists.of(np.array([9]), np.array([0, 1]))]

    both = Lists.concatenated(parts)

    assert (both.values.tolist(), both.starts.tolist()) == ([7, 8, 9], [0, 1, 2, 2, 3])


def test_column_has_each_value_once_and_each_item_its_own() -> None:
    column = make_categories("tags", TAGS, VOCABULARY)

    assert column.values == [[text.encode() for text in row] for row in TAGS]
    assert sorted(column.texts.tolist()) == sorted({text.encode() for row in TAGS for text in row})
    known = {text.encode(): place for place, text in enumerate(VOCABULARY)}
    assert column.positions.tolist() == [known.get(text, len(known)) for text in column.texts.tolist()]
    assert column[np.array([3, 2])].values == [[b"blue"], [b"lamp", b"new, unused", b"red"]]


def test_positions_are_those_of_each_items_values_and_padding() -> None:
    columns = (make_categories("tags", TAGS, VOCABULARY), make_categories("other", OTHER, ["a", "b"]))

    found = CategoryPositions(columns, len(TAGS))(tf.constant([2, 0, 4, 1, 2])).numpy()

    assert found.dtype == np.int32
    assert found.tolist() == [
        [[1, 3, 0], [0, -1, -1]],
        [[0, 1, -1], [0, -1, -1]],
        [[4, 0, -1], [1, -1, -1]],
        [[4, -1, -1], [1, -1, -1]],
        [[1, 3, 0], [0, -1, -1]],
    ]


def test_positions_of_more_values_than_are_embedded_are_the_first() -> None:
    many = [str(number) for number in range(3 * MAX_EMBEDDED)]
    column = make_categories("tags", [["0"], many, ["1"]], many)

    found = CategoryPositions((column,), 3)(tf.constant([1, 2])).numpy()

    padding = [-1] * (MAX_EMBEDDED - 1)
    assert found.tolist() == [[list(range(MAX_EMBEDDED))], [[1, *padding]]]


def test_items_of_one_value_need_no_padding() -> None:
    rows = tf.constant([4, 0])

    assert CategoryPositions((make_categories("other", OTHER, ["a", "b"]),), 5)(rows).numpy().tolist() == [
        [[1]],
        [[0]],
    ]
    assert CategoryPositions((), 5)(rows).shape == (2, 0, 1)
