from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.ranker import Heads, Ranker
from tests.tiny import randomise

BATCH, NUM_CANDIDATES = 3, 5
ALL = Heads(kinds=("view", "cart", "buy"), has_rating=True, has_relevance=True)


def make_inputs() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    inputs = {
        "score": -rng.exponential(size=(BATCH, NUM_CANDIDATES)),
        "dense": rng.normal(size=(BATCH, NUM_CANDIDATES, 4)),
        "product": rng.normal(size=(BATCH, NUM_CANDIDATES, 6)),
    }
    return {name: tf.constant(value, tf.float32) for name, value in inputs.items()}


def make_ranker(heads: Heads, *, trained: bool = False) -> Ranker:
    ranker = Ranker(heads, num_cross_layers=2)
    ranker(make_inputs())
    if trained:
        # Little enough that no probability ends where float32 says 0 or 1.
        randomise(ranker, scale=0.2)
    return ranker


@pytest.mark.parametrize(
    ("heads", "names"),
    [
        (Heads(kinds=("buy",)), {"buy"}),
        (Heads(has_relevance=True), {"relevance"}),
        (Heads(kinds=("event",), has_rating=True), {"event", "rating"}),
        (ALL, {"view", "cart", "buy", "rating", "relevance"}),
    ],
)
def test_only_labels_that_exist_have_heads(heads: Heads, names: set[str]) -> None:
    outputs = make_ranker(heads, trained=True)(make_inputs())

    assert set(outputs) == names
    for name, values in outputs.items():
        assert values.shape == (BATCH, NUM_CANDIDATES)
        assert np.isfinite(values).all()
        if name != "rating":
            assert ((values.numpy() >= 0) & (values.numpy() <= 1)).all()


def test_untrained_ranker_keeps_the_order_of_retrieval() -> None:
    inputs = make_inputs()

    for values in make_ranker(ALL)(inputs).values():
        np.testing.assert_array_equal(np.argsort(-values, axis=1), np.argsort(-inputs["score"], axis=1))


def test_conversion_is_the_product_of_click_and_conversion_after_a_click() -> None:
    single, both = make_ranker(Heads(kinds=("buy",)), trained=True), make_ranker(ALL, trained=True)
    inputs = make_inputs()
    outputs = both(inputs)
    # The hidden layers of both, and of buy the head, are made the same.
    for mine, theirs in zip(single.layers, both.layers, strict=False):
        if mine.name.split("_")[0] == theirs.name.split("_")[0]:
            mine.set_weights(theirs.get_weights())
    single.logits["buy"].set_weights(both.logits["buy"].get_weights())
    single.score_weights["buy"].assign(both.score_weights["buy"])

    conversion_after_click = single(inputs)["buy"]

    np.testing.assert_allclose(outputs["buy"], outputs["view"] * conversion_after_click, rtol=1e-4)
    assert (outputs["buy"].numpy() <= outputs["view"].numpy()).all()


def draw_labels() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = {name: rng.integers(0, 2, (BATCH, NUM_CANDIDATES)).astype(np.float32) for name in ALL.names}
    labels["rating"] = rng.normal(scale=3, size=(BATCH, NUM_CANDIDATES)).astype(np.float32)
    labels["rating"][rng.random((BATCH, NUM_CANDIDATES)) < 0.5] = np.nan
    labels["relevance"][1:] = np.nan
    for kind in ALL.kinds:
        labels[kind][0] = np.nan
    return labels


def slow_loss(predictions: dict[str, Any], labels: dict[str, np.ndarray], is_valid: np.ndarray) -> float:
    total = 0.0
    for name, label in labels.items():
        exists = np.isfinite(label) & is_valid
        y, p = label[exists].astype(np.float64), predictions[name].numpy()[exists].astype(np.float64)
        if name == "rating":
            error = np.abs(y - p)
            losses = np.where(error <= 1, error**2 / 2, error - 0.5)
        else:
            p = np.clip(p, 1e-7, 1 - 1e-7)
            losses = -(y * np.log(p) + (1 - y) * np.log(1 - p))
        total += losses.mean() if len(losses) else 0.0
    return total


def test_loss_counts_each_heads_own_labels_and_no_others() -> None:
    ranker, labels = make_ranker(ALL, trained=True), draw_labels()
    is_valid = np.ones((BATCH, NUM_CANDIDATES), bool)
    is_valid[:, -1] = False
    predictions = ranker(make_inputs())

    loss = ranker.compute_loss(y=labels, y_pred=predictions, sample_weight=is_valid)

    np.testing.assert_allclose(loss, slow_loss(predictions, labels, is_valid), rtol=1e-4)


def test_head_without_any_label_in_a_batch_has_no_loss() -> None:
    ranker = make_ranker(Heads(kinds=("buy",), has_rating=True), trained=True)
    nothing = np.full((BATCH, NUM_CANDIDATES), np.nan, np.float32)

    loss = ranker.compute_loss(y={"buy": nothing, "rating": nothing}, y_pred=ranker(make_inputs()))

    assert float(loss) == 0.0


def test_heads_name_what_orders_a_recommendation() -> None:
    assert ALL.behaviour == "buy"
    assert Heads(has_relevance=True).behaviour is None
