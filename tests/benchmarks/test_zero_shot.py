import numpy as np

from benchmarks.zero_shot import reciprocal_rank_fusion
from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.evaluation import Array
from components.retrieval_evaluator.systems import sum_of_shares

QUERY = Queries.of_texts(["mug"], 3)


def lexical(queries: Queries) -> Array:
    return np.array([[4.0, 2.0, 0.0]])


def dense(queries: Queries) -> Array:
    return np.array([[0.1, 0.8, 0.4]])


def test_reciprocal_rank_fusion_adds_inverse_ranks() -> None:
    expected = np.array([[1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62]])
    np.testing.assert_allclose(reciprocal_rank_fusion(lexical, dense)(QUERY), expected)


def test_sum_of_shares_divides_by_each_query_maximum() -> None:
    np.testing.assert_allclose(sum_of_shares(lexical, dense)(QUERY), np.array([[1.125, 1.5, 0.5]]))
