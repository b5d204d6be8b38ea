from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models.candidate_features import CandidateFeatures
from models.ranker import Heads
from models.ranker_training import fit_ranker, retrieve_candidates
from models.retriever import Retriever
from tests import tiny
from tests.models.contexts import make_contexts

NUM_ITEMS, DIM = 12, 6
RNG = np.random.default_rng(0)
ITEMS = RNG.normal(size=(NUM_ITEMS, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def retriever() -> Retriever:
    return Retriever(tf.constant(ITEMS), text_dim=3)


def history_inputs(histories: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "history_rows": histories.astype(np.int32),
        "history_counts": np.ones(histories.shape, np.float32),
    }


def test_candidates_are_what_retrieval_returns(retriever: Retriever) -> None:
    contexts = make_contexts(inputs=history_inputs(np.zeros((2, 1))), targets=[[0, 5, 7], [2]])
    queries = RNG.normal(size=(2, DIM)).astype(np.float32)

    found = retrieve_candidates(contexts, queries, retriever, k=5)

    np.testing.assert_array_equal(found.inputs["rows"], np.argsort(-queries @ ITEMS.T, axis=1)[:, :5])
    assert found.inputs["is_valid"].all()


def test_labels_are_the_grades_and_zero_for_what_nobody_judged(retriever: Retriever) -> None:
    contexts = make_contexts(
        inputs=history_inputs(np.zeros((2, 1))),
        targets=[[3, 4, 5], [4]],
        weights=[[1.0, 0.1, 0.0], [0.5]],
    )
    queries = RNG.normal(size=(2, DIM)).astype(np.float32)

    found = retrieve_candidates(contexts, queries, retriever, k=NUM_ITEMS)

    grades = [
        dict(zip(rows.tolist(), labels.tolist(), strict=True))
        for rows, labels in zip(found.inputs["rows"], found.labels["relevance"], strict=True)
    ]
    assert grades[0] == pytest.approx({row: {3: 1.0, 4: 0.1}.get(row, 0.0) for row in range(NUM_ITEMS)})
    assert grades[1] == pytest.approx({row: {4: 0.5}.get(row, 0.0) for row in range(NUM_ITEMS)})


@pytest.mark.slow
def test_ranker_learns_what_retrieval_does_not_know(retriever: Retriever) -> None:
    rng = np.random.default_rng(3)
    histories = np.array([rng.permutation(NUM_ITEMS)[:2] for _ in range(120)])
    contexts = make_contexts(
        inputs=history_inputs(histories), targets=histories.tolist(), weights=[[1.0, 1.0]] * len(histories)
    )
    heads = Heads(has_relevance=True)
    queries = rng.normal(size=(len(histories), DIM)).astype(np.float32)
    candidates = retrieve_candidates(contexts, queries, retriever, k=NUM_ITEMS)
    features = CandidateFeatures(
        retriever, item_numbers=np.zeros((NUM_ITEMS, 0)), item_shares=np.full(NUM_ITEMS, 1 / NUM_ITEMS)
    )
    train = dataclasses.replace(tiny.CONFIG.train, ranker_epochs=8, learning_rate=1e-2)

    ranker, curves = fit_ranker(candidates, heads, features, model=tiny.CONFIG.model, train=train)

    quality, losses = (dict(curve["points"]) for curve in curves)
    assert list(quality) == list(range(9))
    assert list(losses) == list(range(1, 9))
    assert quality[0] < 0.7
    assert max(quality.values()) > 0.95
    assert losses[8] < losses[1]
    # The weights kept are those of the best epoch.
    new = candidates.take(np.arange(20))
    made = features(
        *(new.inputs[n] for n in ("query_vectors", "rows", "is_valid", "history_rows", "history_counts"))
    )
    best = np.argsort(-ranker(made)["relevance"], axis=1)[:, :2]
    hits = np.take_along_axis(new.labels["relevance"], best, axis=1)
    assert hits.mean() > 0.8
