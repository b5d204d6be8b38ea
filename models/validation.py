"""nDCG on the validation split, by which training chooses its epochs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from models.interactions import Contexts
from models.matrices import item_matrix, query_matrix
from models.metrics import ndcg_at_k, rank_relevant
from models.two_tower import TwoTower

NDCG_K = 10
# Held at a time, 256 MB.
_MAX_SCORES = 1 << 26


def gains_of(contexts: Contexts, num_items: int) -> sparse.csr_matrix:
    """The targets' weights: CSR float ``[num_contexts, num_items]``."""
    lengths = [len(rows) for rows in contexts.targets]
    queries = np.repeat(np.arange(len(contexts)), lengths)
    rows, weights = np.concatenate(contexts.targets), np.concatenate(contexts.weights)
    return sparse.csr_matrix((weights, (queries, rows)), shape=(len(contexts), num_items))


def seen_by(contexts: Contexts, num_items: int) -> sparse.csr_matrix:
    """Which items are in each whole history: CSR float ``[num_contexts, num_items]`` of ones."""
    queries = np.repeat(np.arange(len(contexts)), [len(rows) for rows in contexts.histories])
    rows = np.concatenate(contexts.histories)
    return sparse.csr_matrix((np.ones(len(rows)), (queries, rows)), shape=(len(contexts), num_items))


def novel_ndcg(scores: np.ndarray, contexts: Contexts) -> float:
    """Mean nDCG@10 of items the user had not chosen before, those chosen before removed from the ranking."""
    num_items = scores.shape[1]
    seen = seen_by(contexts, num_items)
    gains = (gains_of(contexts, num_items) > 0).astype(np.float64)
    gains = gains - gains.multiply(seen > 0)
    scores = scores.copy()
    scores[seen.nonzero()] = -np.inf
    return _mean_ndcg(scores, sparse.csr_matrix(gains))


def graded_ndcg(scores: np.ndarray, contexts: Contexts) -> float:
    """Mean nDCG@10 with the targets' weights as gains."""
    return _mean_ndcg(scores, gains_of(contexts, scores.shape[1]))


def _mean_ndcg(scores: np.ndarray, gains: sparse.csr_matrix) -> float:
    values = ndcg_at_k(rank_relevant(scores, gains), NDCG_K)
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def mean_measure(
    model: TwoTower,
    contexts: Contexts,
    num_items: int,
    metric: Callable[[np.ndarray, Contexts], float],
) -> float:
    """The mean of a metric over contexts that all have one, whose scores are held a part at a time.

    Args:
        model: Both towers.
        contexts: At least one.
        num_items: Size of the catalogue.
        metric: The mean over the contexts of float32 ``[num_contexts, num_items]`` scores.
    """
    items, total = item_matrix(model, num_items).T, 0.0
    size = max(_MAX_SCORES // num_items, 1)
    for start in range(0, len(contexts), size):
        part = contexts.take(np.arange(start, min(start + size, len(contexts))))
        total += metric(query_matrix(model, part) @ items, part) * len(part)
    return total / len(contexts)
