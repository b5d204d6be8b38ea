from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from dataset.errors import DataError
from models.item_table import ItemTable
from models.trained import TrainedModel, build_retriever, config_of
from models.weights import by_name
from tests import tiny


def scores(model: TrainedModel, items: ItemTable) -> dict[str, np.ndarray]:
    retriever = build_retriever(model.two_tower)
    inputs = tiny.make_inputs(5)
    queries = model.two_tower(inputs)
    return {"queries": queries.numpy(), "items": retriever.item_vectors.numpy()}


@pytest.mark.slow
@pytest.mark.parametrize("trainable", ["frozen", "lora"])
def test_saved_model_says_the_same(items: ItemTable, trainable: str, tmp_path: Path) -> None:
    config = dataclasses.replace(
        tiny.CONFIG, model=dataclasses.replace(tiny.CONFIG.model, trainable=trainable)
    )
    plain = tiny.make_trained(items)
    model = dataclasses.replace(plain, two_tower=tiny.make_two_tower(items, config))
    tiny.randomise(model.two_tower, scale=0.1, seed=8)
    model.save(str(tmp_path / "model"), config.model, config.train)

    loaded = TrainedModel.load(str(tmp_path / "model"), items)

    expected = scores(model, items)
    for name, values in scores(loaded, items).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5, err_msg=name)
    assert loaded.tokenizer.vocabulary == model.tokenizer.vocabulary
    assert loaded.num_user_numbers == tiny.NUM_USER_NUMBERS


def test_weights_of_another_architecture_are_refused(
    trained: TrainedModel, items: ItemTable, tmp_path: Path
) -> None:
    config = dataclasses.replace(tiny.CONFIG.model, trainable="lora")
    trained.save(str(tmp_path / "one"), config, tiny.CONFIG.train)

    with pytest.raises(DataError, match=r"two_tower\.npz must have the weights .* Got none named "):
        TrainedModel.load(str(tmp_path / "one"), items)


def test_model_of_another_version_is_one_sentence(
    trained: TrainedModel, items: ItemTable, tmp_path: Path
) -> None:
    trained.save(str(tmp_path), tiny.CONFIG.model, tiny.CONFIG.train)
    path = tmp_path / "model.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps(description | {"model": description["model"] | {"num_gates": 3}}))

    with pytest.raises(DataError, match=r"model\.json must be as this version .* \(.*num_gates.*\)"):
        TrainedModel.load(str(tmp_path), items)

    path.write_text(json.dumps({"config": "{}"}))
    with pytest.raises(DataError, match=r"model\.json must be as this version of Tandem writes it"):
        config_of(str(tmp_path))


def test_weights_have_one_name_however_many_models_were_made(items: ItemTable) -> None:
    first, second = tiny.make_trained(items), tiny.make_trained(items)

    one, other = (by_name(model.two_tower.weights) for model in (first, second))
    assert list(one) == list(other)


def test_weights_find_their_places_by_name(trained: TrainedModel, items: ItemTable, tmp_path: Path) -> None:
    """A file in another order, as a version with its layers in another order would write it."""
    trained.save(str(tmp_path), tiny.CONFIG.model, tiny.CONFIG.train)
    path = tmp_path / "two_tower.npz"
    with np.load(path) as saved:
        values = {name: saved[name] for name in reversed(saved.files)}
    np.savez(path, **values)

    loaded = TrainedModel.load(str(tmp_path), items)

    for one, other in zip(loaded.two_tower.weights, trained.two_tower.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
