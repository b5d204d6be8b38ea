from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.heads import Heads
from models.list_ranker import LOGIT, ListRanker, listwise_loss
from tests import tiny

NUM_FEATURES = 7
HEADS = Heads(kinds=("click", "cart", "buy"), has_rating=True)
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(3, 5, NUM_FEATURES)).astype(np.float32)
IS_VALID = np.arange(5) < np.array([[5], [3], [4]])


def make_ranker(heads: Heads = HEADS, **settings: Any) -> ListRanker:
    ranker = ListRanker(NUM_FEATURES, heads, **settings)
    ranker.normalise.adapt(INPUTS.reshape(-1, NUM_FEATURES))
    return ranker


def make_labels(heads: Heads = HEADS) -> dict[str, tf.Tensor]:
    labels = {kind: tf.constant((RNG.random((3, 5)) < 0.5).astype(np.float32)) for kind in heads.kinds}
    if heads.has_rating:
        rated = np.where(RNG.random((3, 5)) < 0.5, RNG.random((3, 5)) * 5, np.nan)
        labels["rating"] = tf.constant(rated.astype(np.float32))
    return labels


@pytest.fixture(scope="module")
def moved() -> ListRanker:
    """A ranker whose every weight has been moved."""
    ranker = make_ranker()
    tiny.randomise(ranker.head_layers["click"], scale=0.3, seed=2)
    for seed, layer in enumerate(ranker.head_layers.values()):
        tiny.randomise(layer, scale=0.3, seed=seed)
    return ranker


def test_loss_of_a_list_is_the_cross_entropy_of_its_choices() -> None:
    logits = RNG.normal(size=(2, 4, 6)).astype(np.float32)
    is_chosen = (RNG.random((4, 6)) < 0.4).astype(np.float32)
    is_listed = RNG.random((4, 6)) < 0.8
    is_listed[3] = False

    found = listwise_loss(*map(tf.constant, (logits, is_chosen, is_listed)))

    total, weights = 0.0, list[float]()
    for network in range(2):
        weights.clear()
        for row in range(4):
            listed = np.flatnonzero(is_listed[row])
            chosen = [n for n in listed if is_chosen[row, n]]
            if chosen:
                shares = np.exp(logits[network, row, listed].astype(float))
                losses = [-np.log(np.exp(logits[network, row, n]) / shares.sum()) for n in chosen]
                total += np.mean(losses) * np.sqrt(len(chosen))
                weights.append(np.sqrt(len(chosen)))
    assert float(found) == pytest.approx(total / sum(weights), rel=1e-5)


def test_lists_without_a_choice_cost_nothing() -> None:
    nothing = listwise_loss(tf.ones([2, 3, 4]), tf.zeros([3, 4]), tf.ones([3, 4], tf.bool))

    assert float(nothing) == 0.0


def test_order_is_the_mean_of_the_networks(moved: ListRanker) -> None:
    logits, _ = moved.each(moved.normalise(INPUTS))

    assert logits.shape == (2, 3, 5)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    np.testing.assert_allclose(moved(INPUTS)[LOGIT], logits.numpy().mean(axis=0), rtol=1e-5)


def test_last_kind_is_that_of_the_whole_funnel(moved: ListRanker) -> None:
    said = {name: values.numpy() for name, values in moved(INPUTS).items()}
    logits, hidden = moved.each(moved.normalise(INPUTS))
    known = np.concatenate([hidden, logits.numpy().mean(axis=0)[..., None]], axis=-1)

    def of(name: str) -> np.ndarray[Any, Any]:
        return (known @ moved.head_layers[name].kernel.numpy() + moved.head_layers[name].bias.numpy())[..., 0]

    def sigmoid(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return 1 / (1 + np.exp(-values))

    assert set(said) == {LOGIT, "click", "cart", "buy", "rating"}
    np.testing.assert_allclose(said["click"], sigmoid(of("click")), rtol=1e-4)
    np.testing.assert_allclose(said["cart"], sigmoid(of("cart")), rtol=1e-4)
    np.testing.assert_allclose(said["buy"], sigmoid(of("buy")) * sigmoid(of("click")), rtol=1e-4)
    np.testing.assert_allclose(said["rating"], of("rating"), rtol=1e-4, atol=1e-5)
    assert HEADS.behaviour == "buy"


def test_one_kind_is_no_product() -> None:
    said = make_ranker(Heads(kinds=("event",)))(INPUTS)

    assert set(said) == {LOGIT, "event"}
    # Heads begin at zero.
    np.testing.assert_allclose(said["event"], 0.5)


def gradients_of_bodies(ranker: ListRanker, labels: dict[str, tf.Tensor]) -> list[np.ndarray[Any, Any]]:
    weights = [v for part in (*ranker.bodies, *ranker.ends) for v in part.trainable_variables]
    keras.utils.set_random_seed(1)
    with tf.GradientTape() as tape:
        loss = ranker.loss_of(tf.constant(INPUTS), labels, tf.constant(IS_VALID), tf.constant(IS_VALID[None]))
    return [np.asarray(gradient) for gradient in tape.gradient(loss, [v.value for v in weights])]


def test_heads_do_not_change_the_order() -> None:
    """The gradient of bodies and ends is the same, whatever the heads are to learn and whatever they know."""
    labels = make_labels()
    alone = make_ranker(Heads(kinds=("click",)))
    many = make_ranker()
    for layer in many.head_layers.values():
        tiny.randomise(layer, scale=0.5)

    expected = gradients_of_bodies(alone, {"click": labels["click"]})
    found = gradients_of_bodies(many, labels)

    assert any(np.abs(gradient).max() > 1e-3 for gradient in expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_is_not_listed_does_not_change_the_order_and_padding_changes_nothing() -> None:
    labels = make_labels()
    changed = INPUTS.copy()
    changed[~IS_VALID] = 99.0
    ranker = make_ranker()
    losses = []
    for inputs in (INPUTS, changed):
        fresh = make_ranker()
        losses.append(
            float(
                fresh.loss_of(tf.constant(inputs), labels, tf.constant(IS_VALID), tf.constant(IS_VALID[None]))
            )
        )

    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len(ranker.trainable_variables) == 2 * 6 + 2 * 4


def test_weights_are_the_same_for_one_seed_and_the_global_random_state_is_left_alone() -> None:
    tf.random.set_seed(5)
    random.seed(5)
    before = random.getstate()
    first = tf.random.uniform([3]).numpy()
    tf.random.set_seed(5)
    one, same, other = make_ranker(seed=3), make_ranker(seed=3), make_ranker(seed=4)
    after = tf.random.uniform([3]).numpy()

    for mine, equal in zip(one.weights, same.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), equal.numpy())
    kernels = [(v.numpy(), w.numpy()) for v, w in zip(one.weights, other.weights, strict=True)]
    assert any((mine != theirs).any() for mine, theirs in kernels)
    assert random.getstate() == before
    np.testing.assert_array_equal(after, first)


def test_networks_begin_differently() -> None:
    ranker = make_ranker()

    for one, other in zip(
        ranker.bodies[0].trainable_variables, ranker.bodies[1].trainable_variables, strict=True
    ):
        if len(one.shape) == 2:
            assert (one.numpy() != other.numpy()).any()


def test_lists_of_a_batch_are_ranked_apart(moved: ListRanker) -> None:
    for row in range(3):
        np.testing.assert_allclose(moved(INPUTS[[row]])[LOGIT][0], moved(INPUTS)[LOGIT][row], rtol=1e-4)
