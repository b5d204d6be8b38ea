from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.retriever import Retriever

NUM_ITEMS, TEXT_DIM, DIM = 9, 3, 6
RNG = np.random.default_rng(0)
ITEMS = RNG.normal(size=(NUM_ITEMS, DIM)).astype(np.float32)
QUERIES = RNG.normal(size=(4, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def retriever() -> Retriever:
    return Retriever(tf.constant(ITEMS), text_dim=TEXT_DIM)


@pytest.mark.parametrize("k", [0, 1, 4, NUM_ITEMS, NUM_ITEMS + 5])
def test_top_is_exact_and_no_longer_than_the_catalogue(retriever: Retriever, k: int) -> None:
    rows, scores, is_valid = retriever.top(tf.constant(QUERIES), tf.constant(k))
    expected = np.argsort(-QUERIES @ ITEMS.T, axis=1)[:, :k]

    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(QUERIES @ ITEMS.T, expected, axis=1), atol=1e-5)
    assert is_valid.numpy().all()


def test_masked_items_are_never_returned(retriever: Retriever) -> None:
    allowed = RNG.random((4, NUM_ITEMS)) < 0.4
    allowed[0] = False
    found = retriever.top(tf.constant(QUERIES), tf.constant(NUM_ITEMS), allowed=tf.constant(allowed))
    rows, scores, is_valid = (x.numpy() for x in found)

    np.testing.assert_array_equal(is_valid.sum(axis=1), allowed.sum(axis=1))
    for i in range(4):
        assert allowed[i, rows[i, is_valid[i]]].all()
        assert (np.diff(scores[i, is_valid[i]]) <= 0).all()
    assert np.isfinite(scores).all()


def test_each_row_has_its_own_exclusions(retriever: Retriever) -> None:
    excluded = [[0, 4, 4], [-1, -1, 2], [-1, -1, -1], [8, 0, 1]]
    rows, _, is_valid = retriever.top(
        tf.constant(QUERIES), tf.constant(NUM_ITEMS), excluded=tf.constant(excluded)
    )

    for found, valid, gone in zip(rows.numpy(), is_valid.numpy(), excluded, strict=True):
        assert set(found[valid].tolist()) == set(range(NUM_ITEMS)) - set(gone)


def test_parts_sum_to_the_score(retriever: Retriever) -> None:
    rows = tf.constant([[0, 5], [1, 1], [8, 2], [3, 4]])
    parts = retriever.parts(tf.constant(QUERIES), rows).numpy()
    scores = np.take_along_axis(QUERIES @ ITEMS.T, rows.numpy(), axis=1)

    np.testing.assert_allclose(parts.sum(axis=-1), scores, atol=1e-5)
    np.testing.assert_allclose(parts[0, 1, 0], QUERIES[0, :TEXT_DIM] @ ITEMS[5, :TEXT_DIM], atol=1e-5)
