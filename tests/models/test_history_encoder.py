from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import erf

from models.history_encoder import HistoryEncoder
from tests.tiny import randomise

NUM_ITEMS, DIM, HEADS, LENGTH = 7, 3, 2, 5


@pytest.fixture(scope="module")
def encoder() -> HistoryEncoder:
    # The weights begin at random, and another test may have drawn before.
    keras.utils.set_random_seed(3)
    layer = HistoryEncoder(NUM_ITEMS, dim=DIM, num_heads=HEADS)
    layer(tf.zeros([1, 1, DIM]), tf.zeros([1, 1]))
    layer.item_values(tf.zeros([1], tf.int32), tf.zeros([1, 4]))
    randomise(layer, scale=1.0)
    return layer


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    counts = np.array([[1, 2, 1, 0, 0], [3, 0, 0, 0, 0], [1, 1, 5, 1, 2]], np.float32)
    return rng.normal(size=(3, LENGTH, DIM)).astype(np.float32), counts


def slow_formula(layer: Any, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """One history at a time, one head at a time, over the items that are there."""
    result = []
    for history, times in zip(values, counts, strict=True):
        chosen = [(v, c) for v, c in zip(history, times, strict=True) if c > 0]
        heads = np.zeros((HEADS, DIM))
        if chosen:
            clues = [
                np.concatenate([v, [np.log(1 + position / 4), np.log(1 + c), 1.0]])
                for position, (v, c) in enumerate(chosen)
            ]
            inner = np.array(clues) @ layer.hidden.kernel.numpy() + layer.hidden.bias.numpy()
            inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
            logits = inner @ layer.weights_of_heads.kernel.numpy() + layer.weights_of_heads.bias.numpy()
            for head in range(HEADS):
                weights = np.exp(logits[:, head] - logits[:, head].max())
                weights /= weights.sum()
                heads[head] = sum(w * v for w, (v, _) in zip(weights, chosen, strict=True))
        result.append(np.concatenate([heads.ravel(), [np.log(1 + len(chosen))]]))
    return np.array(result)


def test_equals_the_slow_formula(encoder: HistoryEncoder) -> None:
    values, counts = draw()

    np.testing.assert_allclose(encoder(values, counts), slow_formula(encoder, values, counts), atol=1e-5)


def test_padding_changes_nothing_wherever_it_stands(encoder: HistoryEncoder) -> None:
    values, counts = draw()
    expected = encoder(values, counts).numpy()

    after = encoder(
        np.pad(values, [(0, 0), (0, 3), (0, 0)], constant_values=9), np.pad(counts, [(0, 0), (0, 3)])
    )
    between = encoder(np.insert(values, 1, 9, axis=1), np.insert(counts, 1, 0, axis=1))

    np.testing.assert_allclose(after, expected, atol=1e-6)
    np.testing.assert_allclose(between, expected, atol=1e-6)


@pytest.mark.parametrize("length", [1, 4])
def test_empty_history_is_zeros(encoder: HistoryEncoder, length: int) -> None:
    found = encoder(np.ones((2, length, DIM), np.float32), np.zeros((2, length), np.float32))

    np.testing.assert_array_equal(found, np.zeros((2, HEADS * DIM + 1)))


def test_order_matters(encoder: HistoryEncoder) -> None:
    values, counts = draw()
    backwards = encoder(values[2:, ::-1], counts[2:, ::-1])

    assert np.abs(backwards - encoder(values[2:], counts[2:])).max() > 1e-3


def test_order_matters_only_through_recency(encoder: HistoryEncoder) -> None:
    values, counts = draw()
    recency = DIM
    kernel = encoder.hidden.kernel.numpy()
    blind = kernel.copy()
    blind[recency] = 0.0
    encoder.hidden.kernel.assign(blind)
    try:
        backwards, forwards = encoder(values[2:, ::-1], counts[2:, ::-1]), encoder(values[2:], counts[2:])
    finally:
        encoder.hidden.kernel.assign(kernel)

    np.testing.assert_allclose(backwards, forwards, atol=1e-5)


def test_value_of_an_item_is_its_id_and_its_text(encoder: HistoryEncoder) -> None:
    rows, texts = (
        np.array([[3, 0]], np.int32),
        np.random.default_rng(2).normal(size=(1, 2, 4)).astype(np.float32),
    )
    table, projection = encoder.id_embedding.embeddings.numpy(), encoder.text_projection.kernel.numpy()

    np.testing.assert_allclose(encoder.item_values(rows, texts), table[rows] + texts @ projection, atol=1e-6)
