import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import sparse

from components.retrieval_evaluator.evaluation import Array
from models import metrics


def slow_dcg(gains_in_order: Sequence[float], k: int) -> float:
    return sum(gain / np.log2(place + 2) for place, gain in enumerate(gains_in_order[:k]))


def worst_over_all_orders(scores: Array, gains: Array, k: int) -> float:
    """nDCG of the least favourable ranking among all that sort the retrieved items by score."""
    retrieved = [item for item in range(len(scores)) if scores[item] > -np.inf]
    ideal = slow_dcg(sorted(gains, reverse=True), k)
    return min(
        slow_dcg([gains[item] for item in order], k) / ideal
        for order in itertools.permutations(retrieved)
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    )


@pytest.mark.parametrize("k", [1, 3, 5])
def test_graded_ndcg_is_that_of_the_worst_order_of_ties(k: int) -> None:
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 3, (40, 6)).astype(float)
    scores[rng.random((40, 6)) < 0.15] = -np.inf
    gains = rng.choice([0.0, 0.0, 0.1, 1.0], (40, 6))
    gains[:, 0] = 0.1
    hits = metrics.rank_relevant(scores, sparse.csr_matrix(gains))
    expected = [worst_over_all_orders(s, g, k) for s, g in zip(scores, gains, strict=True)]
    np.testing.assert_allclose(metrics.ndcg_at_k(hits, k), expected)


def test_rank_counts_tied_irrelevant_items_before_and_tied_relevant_ones_once() -> None:
    scores = np.array([[0.9, 0.5, 0.5, 0.5, 0.5, 0.1]])
    gains = sparse.csr_matrix(np.array([[0, 1, 0, 1, 0, 1]], float))
    hits = metrics.rank_relevant(scores, gains)
    # Places 1 to 4 are tied; the two relevant ones get the last two.
    assert sorted(hits.ranks) == [3, 4, 5]


def test_constant_scores_find_nothing() -> None:
    hits = metrics.rank_relevant(np.zeros((3, 50)), sparse.identity(50, format="csr")[:3])
    assert metrics.recall_at_k(hits, 20).tolist() == [0.0, 0.0, 0.0]
    assert metrics.reciprocal_rank(hits, 50).tolist() == [1 / 50] * 3


def test_items_scored_minus_infinity_are_never_retrieved() -> None:
    scores = np.array([[1.0, -np.inf, -np.inf]])
    hits = metrics.rank_relevant(scores, sparse.csr_matrix([[0.0, 1.0, 0.0]]))
    assert metrics.recall_at_k(hits, 3).tolist() == [0.0]
    assert metrics.reciprocal_rank(hits, 3).tolist() == [0.0]


def test_nan_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be NaN"):
        metrics.rank_relevant(np.array([[np.nan, 1.0]]), sparse.csr_matrix([[1.0, 0.0]]))


def test_queries_without_relevant_items_have_no_value() -> None:
    hits = metrics.rank_relevant(np.ones((2, 3)), sparse.csr_matrix([[0.0, 0, 0], [0, 1.0, 0]]))
    for values in (
        metrics.recall_at_k(hits, 2),
        metrics.ndcg_at_k(hits, 2),
        metrics.reciprocal_rank(hits, 3),
    ):
        assert np.isnan(values).tolist() == [True, False]


def test_recall_and_binary_ndcg_equal_the_slow_formula() -> None:
    rng = np.random.default_rng(7)
    scores = rng.permuted(np.tile(np.arange(30.0), (20, 1)), axis=1)
    relevant = rng.random((20, 30)) < 0.3
    relevant[:, 3] = True
    hits = metrics.rank_relevant(scores, sparse.csr_matrix(relevant.astype(float)))
    recall, ndcg, mrr = [], [], []
    for row, mask in zip(scores, relevant, strict=True):
        ordered = [float(mask[item]) for item in np.argsort(-row)]
        recall.append(sum(ordered[:10]) / mask.sum())
        ndcg.append(slow_dcg(ordered, 10) / slow_dcg([1.0] * int(mask.sum()), 10))
        mrr.append(1 / (ordered.index(1.0) + 1))
    np.testing.assert_allclose(metrics.recall_at_k(hits, 10), recall)
    np.testing.assert_allclose(metrics.ndcg_at_k(hits, 10), ndcg)
    np.testing.assert_allclose(metrics.reciprocal_rank(hits, 30), mrr)


def test_a_part_of_the_hits_keeps_its_ranks() -> None:
    scores = np.array([[3.0, 2.0, 1.0]])
    hits = metrics.rank_relevant(scores, sparse.csr_matrix([[1.0, 0.0, 0.5]]))
    part = hits.where(hits.gains < 1)
    assert (part.starts.tolist(), part.items.tolist(), part.ranks.tolist()) == ([0, 1], [2], [2])


def test_top_k_lists_equal_scores_in_item_order_and_pads() -> None:
    lists = metrics.top_k(np.array([[1.0, 2.0, 1.0], [-np.inf, -np.inf, 0.0]]), 5)
    assert lists.tolist() == [[1, 0, 2], [2, -1, -1]]


def test_coverage_counts_distinct_listed_candidates() -> None:
    assert metrics.coverage_at_k(np.array([[0, 1], [1, -1]]), 4) == 0.5


def test_novelty_is_the_mean_self_information() -> None:
    novelty = metrics.novelty_at_k(np.array([[0, 1], [2, -1], [-1, -1]]), np.array([8, 2, 0]), 8)
    np.testing.assert_allclose(novelty, [1.0, 3.0, np.nan])


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(6, 4))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    lists = np.array([[0, 3, 5], [1, 2, -1], [4, -1, -1]])
    expected = [
        np.mean([1 - unit[a] @ unit[b] for a, b in itertools.combinations((0, 3, 5), 2)]),
        1 - unit[1] @ unit[2],
        np.nan,
    ]
    np.testing.assert_allclose(metrics.diversity_at_k(lists, vectors), expected)


def test_bootstrap_interval_is_close_to_the_normal_one_and_repeatable() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 2000)
    low, high = metrics.bootstrap_interval(values)
    error = 1.96 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose([low, high], [values.mean() - error, values.mean() + error], atol=0.01)
    assert (low, high) == metrics.bootstrap_interval(values)


def test_paired_interval_is_narrower_than_the_unpaired_ones() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    theirs, ours = hard, hard + 0.05 + rng.normal(0, 0.01, 200)
    low, high = metrics.paired_difference_interval(ours, theirs)
    assert 0.045 < low < high < 0.055
