import numpy as np

from benchmarks.zero_shot import reciprocal_rank_fusion, sum_of_shares


def lexical(queries):
    return np.array([[4.0, 2.0, 0.0]])


def dense(queries):
    return np.array([[0.1, 0.8, 0.4]])


def test_reciprocal_rank_fusion_adds_inverse_ranks():
    expected = [[1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62]]
    np.testing.assert_allclose(reciprocal_rank_fusion(lexical, dense)(None), expected)


def test_sum_of_shares_divides_by_each_query_maximum():
    np.testing.assert_allclose(sum_of_shares(lexical, dense)(None), [[1.125, 1.5, 0.5]])
