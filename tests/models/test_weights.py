from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from dataset.errors import DataError
from models import weights


class Inner(keras.Model):
    """One layer that nothing builds before it is called."""

    def __init__(self, layer: str = "hidden") -> None:
        super().__init__(name="inner")
        self.hidden = keras.layers.Dense(2, name=layer)

    def call(self, inputs: Any) -> Any:
        return self.hidden(inputs)


class Outer(keras.Model):
    """A model that is the first to call another."""

    def __init__(self, inner: Inner) -> None:
        super().__init__()
        self.inner = inner

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs)


def _called(inner: Inner, *, inside: bool) -> Inner:
    (Outer(inner) if inside else inner)(tf.zeros([1, 2]))
    return inner


def test_model_has_the_same_names_whoever_called_it_first() -> None:
    trained, loaded = _called(Inner(), inside=True), _called(Inner(), inside=False)

    for variable, value in weights.from_bytes(weights.to_bytes(trained), loaded, "file"):
        variable.assign(value)

    for one, other in zip(trained.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_what_is_missing_is_named_with_the_file() -> None:
    content = weights.to_bytes(_called(Inner("another"), inside=False))

    with pytest.raises(DataError, match=r"models/x\.npz must have .* Got none named inner/hidden/kernel"):
        weights.from_bytes(content, _called(Inner(), inside=False), "models/x.npz")


def test_two_weights_of_one_name_are_refused() -> None:
    twins = [keras.Variable(0.0, name="one") for _ in range(2)]

    with pytest.raises(ValueError, match="names of their own"):
        weights.by_name(twins)


def test_only_what_training_moves_is_kept_if_asked() -> None:
    model = keras.Sequential([keras.layers.BatchNormalization(name="normalise")], name="model")
    model.build((None, 2))

    kept = weights.from_bytes(weights.to_bytes(model, trainable_only=True), model, "f", trainable_only=True)

    assert [variable.name for variable, _ in kept] == ["gamma", "beta"]
