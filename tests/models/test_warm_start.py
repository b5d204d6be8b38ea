from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.errors import DataError
from models.item_table import ItemTable
from models.trained import TrainedModel
from models.two_tower import TwoTower
from models.vocabularies import Vocabularies
from models.warm_start import Origin, WarmStart
from tests import tiny
from tests.models.test_vocabularies import take_items

# Of the later catalogue: what it was before, item 5 having come anew under another id.
ROWS = np.array([0, 1, 5, 8, 9])
COLUMNS = {"items": ["room", "colour", "price"], "users": ["country"]}
ORIGIN = Origin(starts=(100, 200), columns=COLUMNS)


@pytest.fixture(scope="module")
def later(items: ItemTable) -> ItemTable:
    ids = items.ids[ROWS].copy()
    ids[2] = b"item-05-new"
    return take_items(items, ROWS, ids)


@pytest.fixture(scope="module")
def earlier(items: ItemTable, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, str]:
    """A model that was fitted to its validation window after it had been selected by it."""
    folder = str(tmp_path_factory.mktemp("earlier"))
    selected = tiny.make_two_tower(items)
    tiny.randomise(selected, scale=0.1, seed=4)
    model = dataclasses.replace(tiny.make_trained(items), selected=selected)
    model.save(folder, tiny.CONFIG.model, tiny.CONFIG.train)
    ORIGIN.save(folder)
    return model, folder


def _vocabularies(later: ItemTable) -> Vocabularies:
    return dataclasses.replace(
        tiny.make_vocabularies(later), users=np.array([b"bob", b"new", b"ann"], object)
    )


def _tables(model: TwoTower) -> dict[str, np.ndarray[Any, Any]]:
    return {
        "id": model.item_tower.id_embedding.embeddings.numpy(),
        "popularity": model.item_tower.popularity.embeddings.numpy(),
        "history": model.query_tower.history.id_embedding.embeddings.numpy(),
    }


@pytest.mark.parametrize("stage", ["selected", "served"])
def test_known_ids_begin_with_their_rows_and_new_ones_fresh(
    earlier: tuple[TrainedModel, str], later: ItemTable, stage: str
) -> None:
    trained, folder = earlier
    model, fresh = tiny.make_two_tower(later), tiny.make_two_tower(later)

    getattr(WarmStart(folder, _vocabularies(later), tiny.CONFIG.model, ORIGIN), stage)(model)

    source = trained.selected if stage == "selected" else trained.two_tower
    assert source is not None
    known = [0, 1, 3, 4]
    for name, table in _tables(model).items():
        np.testing.assert_array_equal(table[known], _tables(source)[name][ROWS[known]], err_msg=name)
        np.testing.assert_array_equal(table[2], _tables(fresh)[name][2], err_msg=name)
    users, users_before = (m.query_tower.user_embedding.embeddings.numpy() for m in (model, source))
    np.testing.assert_array_equal(users[[0, 2, 3]], users_before[[1, 0, 3]])
    np.testing.assert_array_equal(users[1], fresh.query_tower.user_embedding.embeddings.numpy()[1])
    for layer in ("hidden", "behaviour"):
        np.testing.assert_array_equal(
            getattr(model.query_tower, layer).kernel.numpy(),
            getattr(source.query_tower, layer).kernel.numpy(),
        )


def test_model_that_was_not_fitted_again_is_both(
    trained: TrainedModel, items: ItemTable, tmp_path: Path
) -> None:
    trained.save(str(tmp_path), tiny.CONFIG.model, tiny.CONFIG.train)
    ORIGIN.save(str(tmp_path))
    model = tiny.make_two_tower(items)

    WarmStart(str(tmp_path), tiny.make_vocabularies(items), tiny.CONFIG.model, ORIGIN).selected(model)

    np.testing.assert_array_equal(_tables(model)["id"], _tables(trained.two_tower)["id"])


def test_model_of_an_earlier_version_is_one_sentence(
    trained: TrainedModel, items: ItemTable, tmp_path: Path
) -> None:
    trained.save(str(tmp_path), tiny.CONFIG.model, tiny.CONFIG.train)

    with pytest.raises(DataError, match=r"begin from a model with origin\.json"):
        WarmStart(str(tmp_path), tiny.make_vocabularies(items), tiny.CONFIG.model, ORIGIN)


def test_other_architecture_is_one_sentence(earlier: tuple[TrainedModel, str], later: ItemTable) -> None:
    other = dataclasses.replace(tiny.CONFIG.model, behaviour_dim=16)

    with pytest.raises(DataError, match=r"same \[model\] settings"):
        WarmStart(earlier[1], _vocabularies(later), other, ORIGIN)


def test_columns_that_changed_places_are_one_sentence(
    earlier: tuple[TrainedModel, str], later: ItemTable
) -> None:
    moved = Origin(starts=ORIGIN.starts, columns=COLUMNS | {"items": ["colour", "room", "price"]})

    with pytest.raises(DataError, match=r'same categorical and numeric columns.*"room", "colour".*before'):
        WarmStart(earlier[1], _vocabularies(later), tiny.CONFIG.model, moved)


@pytest.mark.parametrize("starts", [(99, 200), (100, 199)])
def test_windows_that_moved_back_are_refused(
    earlier: tuple[TrainedModel, str], later: ItemTable, starts: tuple[int, int]
) -> None:
    """The earlier model has learnt from what the new one would be measured on."""
    with pytest.raises(DataError, match="begin no earlier than before"):
        WarmStart(earlier[1], _vocabularies(later), tiny.CONFIG.model, Origin(starts=starts, columns=COLUMNS))
