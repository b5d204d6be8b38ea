"""Metrics of ranked lists, vectorised, with ties counted against the system.

Rank. A relevant item's 0-based rank is the worst that its score allows: of the items with its score, those
that are not relevant come first, then the relevant ones by rising gain. So a system that scores everything
alike has all its hits at the very end, and no order of equal scores can flatter it. An item scored ``-inf``
is not retrieved: its rank is the number of items.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, Any]

_BOOTSTRAP_BLOCK = 1 << 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hits:
    """Where the relevant items of each query were ranked.

    Attributes:
        starts: int64 `[num_queries + 1]`: query ``q`` has the items ``[starts[q], starts[q + 1])``.
        items: int32 `[num_relevant]`, rows of the item table.
        gains: float64 `[num_relevant]`, above 0.
        ranks: int64 `[num_relevant]`, 0 is the first place.
    """

    starts: Array
    items: Array
    gains: Array
    ranks: Array

    def queries(self) -> Array:
        """The query of each relevant item: int64 `[num_relevant]`."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def where(self, keep: Array) -> Hits:
        """Only the relevant items in bool `[num_relevant]` `keep`, at the ranks they have."""
        counts = np.bincount(self.queries()[keep], minlength=len(self.starts) - 1)
        return Hits(
            starts=np.concatenate([[0], np.cumsum(counts)]),
            items=self.items[keep],
            gains=self.gains[keep],
            ranks=self.ranks[keep],
        )


def rank_relevant(scores: Array, gains: sparse.csr_matrix) -> Hits:
    """Ranks the relevant items of each query against the whole catalogue.

    Args:
        scores: float `[num_queries, num_items]`, higher is better, ``-inf`` is not retrieved.
        gains: CSR `[num_queries, num_items]`, above 0 where an item is relevant.

    Raises:
        ValueError: The shapes differ, or a score is NaN.
    """
    if scores.shape != gains.shape:
        raise ValueError(f"scores and gains must have one shape. Got {scores.shape} and {gains.shape}.")
    if np.isnan(scores).any():
        raise ValueError(f"scores must not be NaN. Got {int(np.isnan(scores).sum())} of them.")
    gains = sparse.csr_matrix(gains, dtype=np.float64, copy=True)
    gains.sum_duplicates()
    gains.eliminate_zeros()
    num_queries, num_items = scores.shape
    queries = np.repeat(np.arange(num_queries), np.diff(gains.indptr))
    values = scores[queries, gains.indices]
    at_least = np.empty(len(values), np.int64)
    for query, (start, stop) in enumerate(zip(gains.indptr[:-1], gains.indptr[1:], strict=True)):
        if start < stop:
            ordered = np.sort(scores[query])
            at_least[start:stop] = num_items - np.searchsorted(ordered, values[start:stop], side="left")
    # Relevant items with one score share the last places of their tie, the lowest gain first.
    order = np.lexsort((gains.data, -values, queries))
    is_first = np.ones(len(order), bool)
    is_first[1:] = (np.diff(queries[order]) != 0) | (values[order][1:] != values[order][:-1])
    group = np.cumsum(is_first) - 1
    size = np.bincount(group)
    place = np.arange(len(order)) - np.flatnonzero(is_first)[group] if len(order) else order
    ranks = np.empty(len(values), np.int64)
    ranks[order] = at_least[order] - size[group] + place
    ranks[values == -np.inf] = num_items
    return Hits(
        starts=gains.indptr.astype(np.int64),
        items=gains.indices.astype(np.int32),
        gains=gains.data,
        ranks=ranks,
    )


def recall_at_k(hits: Hits, k: int) -> Array:
    """The part of each query's relevant items in the first `k`: float64 `[num_queries]`, NaN without any."""
    found = np.bincount(hits.queries(), weights=hits.ranks < k, minlength=len(hits.starts) - 1)
    return _ratio(found, np.diff(hits.starts))


def ndcg_at_k(hits: Hits, k: int) -> Array:
    """Normalised DCG with linear gain and log2 discount: float64 `[num_queries]`, NaN without relevant items.

    The ideal list has the query's `k` largest gains in order; with gains of 1 this is binary nDCG.
    """
    queries, num_queries = hits.queries(), len(hits.starts) - 1
    in_list = hits.ranks < k
    gained = hits.gains[in_list] / np.log2(hits.ranks[in_list] + 2)
    dcg = np.bincount(queries[in_list], weights=gained, minlength=num_queries)
    order = np.lexsort((-hits.gains, queries))
    ideal_rank = np.arange(len(order)) - hits.starts[queries[order]]
    fits = ideal_rank < k
    best = hits.gains[order][fits] / np.log2(ideal_rank[fits] + 2)
    return _ratio(dcg, np.bincount(queries[order][fits], weights=best, minlength=num_queries))


def reciprocal_rank(hits: Hits, num_items: int) -> Array:
    """1 over the 1-based rank of the first relevant item: float64 `[num_queries]`.

    It is 0 where none is retrieved, and NaN where none is relevant.
    """
    best = np.full(len(hits.starts) - 1, np.inf)
    np.minimum.at(best, hits.queries(), hits.ranks)
    values = np.where(best < num_items, 1.0 / (best + 1.0), 0.0)
    values[np.diff(hits.starts) == 0] = np.nan
    return values


def top_k(scores: Array, k: int) -> Array:
    """The best `k` items of each query: int64 `[num_queries, k]`, -1 where fewer are retrieved.

    Equal scores are in the order of the item table, so that a list is the same on every machine.
    """
    k = min(k, scores.shape[1])
    lists = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    lists[np.take_along_axis(scores, lists, axis=1) == -np.inf] = -1
    return lists


def coverage_at_k(lists: Array, num_candidates: int) -> float:
    """The part of the candidates in at least one list; `lists` is int `[num_queries, k]`, -1 is padding."""
    return len(np.unique(lists[lists >= 0])) / max(num_candidates, 1)


def novelty_at_k(lists: Array, user_counts: Array, num_users: int) -> Array:
    """Mean self-information of each list in bits: float64 `[num_queries]`, NaN for empty lists.

    An item that the part p of all users had carries -log2(p); one that nobody had counts as had by one.

    Args:
        lists: int `[num_queries, k]`, -1 is padding.
        user_counts: int `[num_items]`, the distinct users of each item.
        num_users: How many users there are.
    """
    bits = -np.log2(np.maximum(user_counts, 1) / num_users)
    listed = lists >= 0
    return _ratio(np.where(listed, bits[lists], 0.0).sum(axis=1), listed.sum(axis=1))


def diversity_at_k(lists: Array, item_vectors: Array) -> Array:
    """Intra-list diversity, the mean of 1 - cosine over pairs: float64 `[num_queries]`, NaN below two items.

    Args:
        lists: int `[num_queries, k]`, -1 is padding.
        item_vectors: float `[num_items, dim]`.
    """
    norms = np.linalg.norm(item_vectors, axis=1, keepdims=True)
    unit = item_vectors / np.maximum(norms, 1e-12)
    listed = lists >= 0
    vectors = np.where(listed[..., None], unit[lists], 0.0)
    # The squared length of the sum is the sum of all dot products; without those of i = j the pairs are left.
    own = (vectors**2).sum(axis=(1, 2))
    pairs = (vectors.sum(axis=1) ** 2).sum(axis=1) - own
    size = listed.sum(axis=1)
    return 1.0 - _ratio(pairs, size * (size - 1)) if lists.size else np.full(len(lists), np.nan)


def bootstrap_interval(
    values: Array, *, level: float = 0.95, num_samples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over queries or users; NaN for no values.

    Args:
        values: float `[n]`, one per query or user.
        level: The interval's probability.
        num_samples: How often the values are drawn anew.
        seed: Makes it repeatable.
    """
    if len(values) == 0:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    block = max(_BOOTSTRAP_BLOCK // len(values), 1)
    means = [
        values[rng.integers(0, len(values), (min(block, num_samples - done), len(values)))].mean(axis=1)
        for done in range(0, num_samples, block)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference_interval(
    ours: Array, theirs: Array, *, level: float = 0.95, num_samples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of the mean of `ours` - `theirs`, both float `[n]` on the same queries or users.

    Raises:
        ValueError: The two are not of one length.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"paired values must have one length. Got {len(ours)} and {len(theirs)}.")
    return bootstrap_interval(ours - theirs, level=level, num_samples=num_samples, seed=seed)


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
