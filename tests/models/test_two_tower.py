from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.item_table import ItemTable
from models.two_tower import TwoTower
from tests import tiny


def configured(*, model: dict[str, Any] | None = None, **train: Any) -> Any:
    return dataclasses.replace(
        tiny.CONFIG,
        model=dataclasses.replace(tiny.CONFIG.model, **(model or {})),
        # Nothing is hidden, so that the loss can be computed again.
        train=dataclasses.replace(
            tiny.CONFIG.train, item_dropout=0.0, history_dropout=0.0, user_dropout=0.0, **train
        ),
    )


def make_model(
    items: ItemTable, *, trainable: str = "frozen", dislikes: Any = None, **train: Any
) -> TwoTower:
    shares = np.arange(1, len(items) + 1, dtype=np.float32)
    model = tiny.make_two_tower(
        items,
        configured(model={"trainable": trainable}, **train),
        item_probabilities=shares / shares.sum(),
        dislikes=dislikes,
    )
    tiny.randomise(model, scale=0.05)
    return model


def slow_loss(
    model: TwoTower, inputs: dict[str, Any], negatives: np.ndarray, dislikes: np.ndarray | None = None
) -> float:
    """Softmax of each target against all columns of another item, logits less the log of their chance.

    Columns are the targets, the negatives and what the query's own user dislikes.
    """
    num_items = model.num_items
    shares = np.arange(1, num_items + 1) / np.arange(1, num_items + 1).sum()
    targets, weights = inputs["target_rows"].numpy(), inputs["target_weights"].numpy()
    queries, catalogue = model(inputs).numpy(), model.item_vectors(tf.range(num_items)).numpy()
    columns = np.concatenate([targets.ravel(), negatives])
    chance = (targets.size * shares + len(negatives) / num_items) / len(columns)
    users = inputs["user_row"].numpy()
    total = 0.0
    for i, query in enumerate(queries):
        logits = catalogue @ query - np.log(chance)
        own = [] if dislikes is None else [row for row in dislikes[users[i]].tolist() if row >= 0]
        for target, weight in zip(targets[i], weights[i], strict=True):
            others = np.array([logits[column] for column in [*columns, *own] if column != target])
            everything = np.append(others, logits[target])
            normaliser = everything.max() + np.log(np.exp(everything - everything.max()).sum())
            total += weight * (normaliser - logits[target])
    return total / weights.sum()


def loss_of(model: TwoTower, inputs: dict[str, Any]) -> Any:
    return model.mean_loss(model.weighted(inputs))


@pytest.mark.parametrize(("num_negatives", "batch", "num_targets"), [(0, 5, 1), (0, 4, 3), (7, 4, 2)])
def test_loss_is_the_corrected_weighted_softmax(
    items: ItemTable, num_negatives: int, batch: int, num_targets: int
) -> None:
    model = make_model(items, uniform_negatives=num_negatives)
    inputs = tiny.make_inputs(batch, num_targets=num_targets)
    seed = keras.random.SeedGenerator(0)
    seed.state.assign(model._negatives_seed.state)
    negatives = keras.random.randint((num_negatives,), 0, len(items), seed=seed).numpy()

    np.testing.assert_allclose(loss_of(model, inputs), slow_loss(model, inputs, negatives), rtol=1e-4)


def test_what_a_user_dislikes_is_a_negative_of_their_own_queries(items: ItemTable) -> None:
    """Of a few users with none, one or three dislikes."""
    rng = np.random.default_rng(2)
    dislikes = rng.integers(0, len(items), (tiny.NUM_USERS + 1, 3)).astype(np.int32)
    dislikes[rng.random(dislikes.shape) < 0.4] = -1
    dislikes[-1] = -1
    model = make_model(items, uniform_negatives=0, dislikes=dislikes)
    without = make_model(items, uniform_negatives=0)
    inputs = tiny.make_inputs(6, num_targets=2)
    none = np.zeros(0, np.int64)
    found = loss_of(model, inputs)

    np.testing.assert_allclose(found, slow_loss(model, inputs, none, dislikes), rtol=1e-4)
    assert float(found) > float(loss_of(without, inputs)) + 0.01
    nobody = inputs | {"user_row": tf.fill([6], tiny.NUM_USERS)}
    np.testing.assert_allclose(loss_of(model, nobody), loss_of(without, nobody), rtol=1e-5)


@pytest.mark.parametrize("num_negatives", [0, 5])
def test_padding_targets_of_weight_zero_change_nothing(items: ItemTable, num_negatives: int) -> None:
    plain, padded = (make_model(items, uniform_negatives=num_negatives) for _ in range(2))
    inputs = tiny.make_inputs(4, num_targets=2)
    repeated = [
        tf.concat([inputs[name], inputs[name][:, :1]], 1) for name in ("target_rows", "target_weights")
    ]
    longer = inputs | {
        "target_rows": repeated[0],
        "target_weights": repeated[1] * tf.constant([1.0, 1.0, 0.0]),
    }

    np.testing.assert_allclose(loss_of(padded, longer), loss_of(plain, inputs), rtol=1e-5)


def test_loss_does_not_depend_on_the_unit_of_the_weights(items: ItemTable) -> None:
    model = make_model(items, uniform_negatives=0)
    inputs = tiny.make_inputs(4)
    scaled = inputs | {"target_weights": inputs["target_weights"] * 7.0}

    np.testing.assert_allclose(loss_of(model, scaled), loss_of(model, inputs), rtol=1e-5)


def test_batch_without_any_weight_has_no_loss(items: ItemTable) -> None:
    model = make_model(items)
    inputs = tiny.make_inputs(4)

    assert float(loss_of(model, inputs | {"target_weights": inputs["target_weights"] * 0.0})) == 0.0


def test_queries_may_come_as_tokens_or_as_vectors(items: ItemTable) -> None:
    model = make_model(items)
    by_tokens = tiny.make_inputs(6)
    by_tokens["query_tokens"] *= tf.constant([1, 0, 1, 1, 0, 1])[:, None]
    by_vectors = by_tokens | {"query_vectors": model.encode_queries(by_tokens["query_tokens"])}
    del by_vectors["query_tokens"]

    np.testing.assert_allclose(model(by_vectors), model(by_tokens), atol=1e-5)
    assert not model.encode_queries(by_tokens["query_tokens"]).numpy()[[1, 4]].any()


def test_padding_of_histories_changes_nothing(items: ItemTable) -> None:
    model = make_model(items)
    inputs = tiny.make_inputs(6)
    longer = inputs | {
        "history_rows": tf.pad(inputs["history_rows"], [[0, 0], [0, 3]], constant_values=-1),
        "history_counts": tf.pad(inputs["history_counts"], [[0, 0], [0, 3]]),
    }

    np.testing.assert_allclose(model(longer), model(inputs), atol=1e-5)


@pytest.mark.parametrize("trainable", ["frozen", "lora", "top_layers", "full"])
def test_only_what_is_trainable_of_the_encoder_is_taught(items: ItemTable, trainable: str) -> None:
    model = make_model(items, trainable=trainable)
    inputs = tiny.make_inputs(4)
    with tf.GradientTape() as tape:
        loss = loss_of(model, inputs)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    taught = {
        variable.path
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is not None
    }
    encoder = {variable.path for variable in model.encoder.trainable_variables}
    assert bool(encoder) == (trainable != "frozen")
    assert encoder <= taught


def test_untrained_search_is_the_encoder_as_it_came(items: ItemTable) -> None:
    model = tiny.make_two_tower(items)
    tokens = tiny.make_inputs(5)["query_tokens"]
    nobody = tiny.make_inputs(5) | {
        "query_tokens": tokens,
        "history_counts": tf.zeros([5, 4]),
        "user_row": tf.fill([5], tiny.NUM_USERS),
    }
    scores = model(nobody).numpy() @ model.item_vectors(tf.range(len(items))).numpy().T

    expected = model.encoder(tokens).numpy() @ items.text_vectors.T
    np.testing.assert_allclose(scores, np.exp(2.7) * expected, atol=1e-4)
