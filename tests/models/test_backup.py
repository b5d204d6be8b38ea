from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from dataset.errors import DataError
from models.backup import Backup
from models.strategy import training_strategy


def _model(*names: str) -> keras.Model:
    model = keras.Sequential([keras.layers.Dense(2, name=name) for name in names], name="model")
    model.build((None, 2))
    return model


def _backup(folder: Path, model: keras.Model) -> Backup:
    optimizer = keras.optimizers.Adam(name="adam")
    optimizer.build(model.trainable_variables)
    return Backup(str(folder), training_strategy(), model, optimizer)


def test_weights_are_restored_by_name(tmp_path: Path) -> None:
    one, other = _model("first", "second"), _model("second", "first")
    _backup(tmp_path, one).save()

    _backup(tmp_path, other).restore()

    for name in ("first", "second"):
        pair = (model.get_layer(name).kernel for model in (one, other))
        np.testing.assert_array_equal(*(kernel.numpy() for kernel in pair))


def test_backup_of_another_model_is_one_sentence(tmp_path: Path) -> None:
    _backup(tmp_path, _model("first", "second")).save()

    with pytest.raises(DataError, match=r"must be of the model that was backed up.* remove that folder"):
        _backup(tmp_path, _model("first", "third")).restore()


def test_nothing_is_restored_where_nothing_was_saved(tmp_path: Path) -> None:
    model = _model("first")
    before = [tf.identity(weight) for weight in model.weights]

    _backup(tmp_path, model).restore()

    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value.numpy())
