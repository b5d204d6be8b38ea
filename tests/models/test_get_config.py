"""A layer made from the configuration of another is the same layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.heads import Heads
from models.history_encoder import HistoryEncoder
from models.item_tower import ItemTower
from models.list_ranker import ListRanker
from models.quantiles import QuantileNormalisation
from models.query_tower import QueryTower
from tests.tiny import randomise

HEADS = Heads(kinds=("view", "buy"), has_rating=True)
ROWS = tf.constant([0, 2])


def normal(*shape: int) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed=[1, 2])


LAYERS = [
    HistoryEncoder(5, dim=3, num_heads=2, seed=4),
    ItemTower(5, text_dim=4, behaviour_dim=3, category_sizes=(2, 3), id_dropout=0.1, seed=4),
    QueryTower(
        num_items=5,
        num_users=3,
        text_dim=4,
        behaviour_dim=3,
        history_dim=3,
        history_heads=2,
        category_sizes=(3,),
        user_dropout=0.1,
        history_dropout=0.2,
        seed=4,
    ),
    QuantileNormalisation(3, num_knots=8),
    ListRanker(3, HEADS, num_networks=3, seed=4),
]
CALLS: dict[str, Callable[[Any], Any]] = {
    "HistoryEncoder": lambda layer: layer(normal(2, 4, 3), tf.ones([2, 4])),
    "ItemTower": lambda layer: layer(ROWS, normal(2, 4), tf.ones([2, 2, 3], tf.int32), normal(2, 1)),
    "QueryTower": lambda layer: layer(
        normal(2, 4), normal(2, 4, 3), tf.ones([2, 4]), ROWS, tf.ones([2, 1], tf.int32), normal(2, 2)
    ),
    "QuantileNormalisation": lambda layer: layer(normal(2, 5, 3)),
    "ListRanker": lambda layer: layer(normal(2, 5, 3)),
}


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_layer_of_a_config_gives_the_same(layer: keras.layers.Layer) -> None:
    call = CALLS[type(layer).__name__]
    call(layer)
    randomise(layer, scale=0.3)

    # Through JSON, as Keras saves it.
    other = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    call(other)
    other.set_weights(layer.get_weights())

    assert json.dumps(other.get_config()) == json.dumps(layer.get_config())
    for mine, theirs in zip(tf.nest.flatten(call(other)), tf.nest.flatten(call(layer)), strict=True):
        np.testing.assert_array_equal(mine, theirs)
