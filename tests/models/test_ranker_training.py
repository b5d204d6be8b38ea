from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models.candidate_features import CandidateFeatures
from models.interactions import Contexts
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


def contexts_of_two_users() -> Contexts:
    return make_contexts(
        inputs=history_inputs(np.zeros((2, 1))),
        targets=[[0, 5, 7], [2]],
        kinds=[["view", "buy", "cart"], ["view"]],
        values=[[np.nan, 4.0, np.nan], [1.0]],
    )


def test_candidates_are_what_retrieval_returns(retriever: Retriever) -> None:
    queries = RNG.normal(size=(2, DIM)).astype(np.float32)
    found = retrieve_candidates(
        contexts_of_two_users(), queries, retriever, Heads(kinds=("buy",)), k=5, judged=False
    )

    np.testing.assert_array_equal(found.arrays["rows"], np.argsort(-queries @ ITEMS.T, axis=1)[:, :5])
    assert found.arrays["is_valid"].all()


def test_labels_of_events(retriever: Retriever) -> None:
    heads = Heads(kinds=("view", "cart", "buy"), has_rating=True, has_relevance=True)
    queries = RNG.normal(size=(2, DIM)).astype(np.float32)
    found = retrieve_candidates(contexts_of_two_users(), queries, retriever, heads, k=NUM_ITEMS, judged=False)
    rows = found.arrays["rows"]

    def chosen(name: str, user: int) -> set[int]:
        return set(rows[user][found.arrays[name][user] == 1.0].tolist())

    # Whoever bought or put into the cart has also looked.
    assert [chosen("view", user) for user in (0, 1)] == [{0, 5, 7}, {2}]
    assert [chosen("cart", user) for user in (0, 1)] == [{7}, set()]
    assert [chosen("buy", user) for user in (0, 1)] == [{5}, set()]
    assert np.isin(found.arrays["view"], (0.0, 1.0)).all()
    rated = {
        (user, row): rating
        for user in (0, 1)
        for row, rating in zip(rows[user].tolist(), found.arrays["rating"][user].tolist(), strict=True)
        if np.isfinite(rating)
    }
    assert rated == {(0, 5): 4.0, (1, 2): 1.0}
    assert np.isnan(found.arrays["relevance"]).all()


def test_labels_of_judgments(retriever: Retriever) -> None:
    contexts = make_contexts(
        inputs=history_inputs(np.zeros((1, 1))), targets=[[3, 4, 5]], weights=[[1.0, 0.1, 0.0]]
    )
    heads = Heads(kinds=("buy",), has_rating=True, has_relevance=True)
    queries = RNG.normal(size=(1, DIM)).astype(np.float32)
    found = retrieve_candidates(contexts, queries, retriever, heads, k=NUM_ITEMS, judged=True)
    grades = dict(zip(found.arrays["rows"][0].tolist(), found.arrays["relevance"][0].tolist(), strict=True))

    assert grades == pytest.approx({row: {3: 1.0, 4: 0.1}.get(row, 0.0) for row in range(NUM_ITEMS)})
    assert np.isnan(found.arrays["buy"]).all()
    assert np.isnan(found.arrays["rating"]).all()


@pytest.mark.slow
def test_ranker_learns_what_retrieval_does_not_know(retriever: Retriever) -> None:
    rng = np.random.default_rng(3)
    histories = np.array([rng.permutation(NUM_ITEMS)[:2] for _ in range(120)])
    contexts = make_contexts(
        inputs=history_inputs(histories), targets=histories.tolist(), kinds=[["buy", "buy"]] * len(histories)
    )
    heads = Heads(kinds=("buy",))
    queries = rng.normal(size=(len(histories), DIM)).astype(np.float32)
    candidates = retrieve_candidates(contexts, queries, retriever, heads, k=NUM_ITEMS, judged=False)
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
        *(new.arrays[n] for n in ("query_vectors", "rows", "is_valid", "history_rows", "history_counts"))
    )
    best = np.argsort(-ranker(made)["buy"], axis=1)[:, :2]
    hits = np.take_along_axis(new.arrays["buy"], best, axis=1)
    assert hits.mean() > 0.8
