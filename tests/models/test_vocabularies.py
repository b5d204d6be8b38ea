from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.categories import CategoryPositions
from models.item_table import ItemTable
from models.trained import TrainedModel
from models.vocabularies import Vocabularies, carried, carried_rows, rows_of
from tests import tiny


def _objects(*values: bytes) -> np.ndarray:
    return np.array([*values, None], object)[:-1]


def take_items(items: ItemTable, rows: np.ndarray, ids: np.ndarray | None = None) -> ItemTable:
    """Some rows of a catalogue, under other ids if they are given."""
    per_item = (
        "ids",
        "titles",
        "tokens",
        "text_vectors",
        "numbers",
        "available",
    )
    taken = dataclasses.replace(
        items,
        categories=tuple(column[rows] for column in items.categories),
        **{name: getattr(items, name)[rows] for name in per_item},
    )
    return taken if ids is None else dataclasses.replace(taken, ids=ids)


def test_vocabularies_survive_being_saved(tmp_path: Path) -> None:
    saved = Vocabularies(
        items=_objects(b"a\x00", b"", "é".encode()),
        users=_objects(),
        item_categories=(_objects(b"red", b"longer than the others"), _objects()),
    )

    saved.save(str(tmp_path))
    loaded = Vocabularies.load(str(tmp_path))

    assert loaded.items.tolist() == saved.items.tolist()
    assert loaded.users.tolist() == []
    assert [values.tolist() for values in loaded.item_categories] == [
        [b"red", b"longer than the others"],
        [],
    ]
    assert loaded.user_categories == ()


def test_rows_of_ids_that_are_not_known_are_minus_one() -> None:
    assert rows_of(_objects(b"b", b"x", b"a"), _objects(b"a", b"b")).tolist() == [1, -1, 0]


def test_new_rows_are_fresh_and_others_are_carried() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)

    moved = carried(values, np.array([1, -1, 0]), fresh=np.full((3, 2), 9.0))

    assert moved.tolist() == [[3.0, 4.0], [9.0, 9.0], [1.0, 2.0]]
    assert moved.dtype == np.float32


def test_row_of_the_unknown_stays_the_last(items: ItemTable) -> None:
    before = tiny.make_vocabularies(items)
    now = dataclasses.replace(before, users=_objects(b"cid", b"dan", b"ann"))
    model = tiny.make_two_tower(items)

    rows = carried_rows(model, before, now)

    assert rows[id(model.query_tower.user_embedding.embeddings)].tolist() == [2, -1, 0, 3]
    for layer in model.item_tower.category_embeddings:
        assert rows[id(layer.embeddings)].tolist() == [0, 1, 2, 3]


def test_later_catalogue_keeps_what_was_learnt_and_new_items_live_on_their_text(
    trained: TrainedModel, items: ItemTable, tmp_path: Path
) -> None:
    trained.save(str(tmp_path), tiny.CONFIG.model, tiny.CONFIG.train)
    rows = np.array([1, 4, 5, 8])
    ids = items.ids[rows].copy()
    ids[2] = b"item-05-new"
    later = take_items(items, rows, ids)

    loaded = TrainedModel.load(str(tmp_path), later)

    expected = trained.two_tower.item_vectors(rows).numpy()
    vectors = loaded.two_tower.item_vectors(np.arange(4)).numpy()
    known = [0, 1, 3]
    np.testing.assert_allclose(vectors[known], expected[known], atol=1e-6)
    tower = trained.two_tower.item_tower
    categories = CategoryPositions(later.categories, len(later))(tf.constant([2]))
    of_text = tower(None, later.text_vectors[2:3], categories, later.numbers[2:3]).numpy()
    np.testing.assert_allclose(vectors[2:3], of_text, atol=1e-6)
    assert np.abs(vectors[2] - expected[2]).max() > 1e-3
    assert loaded.vocabularies.items.tolist() == ids.tolist()
