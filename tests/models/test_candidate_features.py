from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.candidate_features import CandidateFeatures
from models.retriever import Retriever

NUM_ITEMS, TEXT_DIM, DIM = 6, 2, 4
RNG = np.random.default_rng(0)
ITEMS = RNG.normal(size=(NUM_ITEMS, DIM)).astype(np.float32)
NUMBERS = RNG.normal(size=(NUM_ITEMS, 2)).astype(np.float32)
SHARES = np.array([0.5, 0.2, 0.2, 0.1, 0.0, 0.0], np.float32)
QUERIES = np.array([[3.0, -1.0, 20.0, 1.0], [0.0, 0.0, 1.0, -2.0]], np.float32)
HISTORY = np.array([[4, 0, 3, -1], [-1, -1, -1, -1]], np.int32)
COUNTS = np.array([[2, 1, 5, 0], [0, 0, 0, 0]], np.float32)


@pytest.fixture(scope="module")
def candidate_features() -> CandidateFeatures:
    retriever = Retriever(tf.constant(ITEMS), text_dim=TEXT_DIM)
    return CandidateFeatures(retriever, item_numbers=NUMBERS, item_shares=SHARES)


def build(features: CandidateFeatures, rows: Any, is_valid: Any = None) -> dict[str, np.ndarray]:
    rows = tf.constant(rows, tf.int32)
    valid = tf.ones(rows.shape, tf.bool) if is_valid is None else tf.constant(is_valid)
    made = features(tf.constant(QUERIES), rows, valid, tf.constant(HISTORY), tf.constant(COUNTS))
    return {name: value.numpy() for name, value in made.items()}


def test_equal_the_slow_formula(candidate_features: CandidateFeatures) -> None:
    rows = np.array([[0, 3, 4, 1], [5, 2, 1, 0]])
    found = build(candidate_features, rows)

    for i, query in enumerate(QUERIES):
        total = ITEMS[rows[i]] @ query
        text = ITEMS[rows[i], :TEXT_DIM] @ query[:TEXT_DIM]
        rank = np.argsort(np.argsort(-total))
        past = {
            row: (count, place) for place, (row, count) in enumerate(zip(HISTORY[i], COUNTS[i], strict=True))
        }
        for j, row in enumerate(rows[i]):
            count, place = past.get(row, (0.0, np.inf))
            expected = [
                total[j] - total.max(),
                text[j] - text.max(),
                (total - text)[j] - (total - text).max(),
                np.log(1 + rank[j]),
                np.log(1 + count),
                1 / (1 + place / 8),
                np.log(1 + (COUNTS[i] > 0).sum()),
                float(query[:TEXT_DIM].any()),
                np.log(1 + NUM_ITEMS * SHARES[row]),
                *NUMBERS[row],
            ]
            np.testing.assert_allclose(found["dense"][i, j], expected, atol=1e-4)
            np.testing.assert_allclose(found["product"][i, j], query * ITEMS[row], atol=1e-5)
            np.testing.assert_allclose(found["score"][i, j], total[j] - total.max(), atol=1e-4)


def test_candidates_that_are_not_valid_change_nothing_about_the_others(
    candidate_features: CandidateFeatures,
) -> None:
    few = build(candidate_features, [[0, 3], [5, 2]])
    filled = build(
        candidate_features,
        [[0, 1, 3, 4, 5, 2], [5, 0, 2, 1, 3, 4]],
        [[True, False, True, False, False, False]] * 2,
    )

    for name, values in few.items():
        np.testing.assert_allclose(filled[name][:, [0, 2]], values, atol=1e-4)


def test_no_valid_candidate_at_all_is_finite(candidate_features: CandidateFeatures) -> None:
    found = build(candidate_features, [[0, 1], [0, 1]], [[False, False]] * 2)

    assert all(np.isfinite(values).all() for values in found.values())
