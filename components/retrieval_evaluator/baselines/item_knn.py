"""Neighbours of the history's items by shared users."""

from __future__ import annotations

from typing import Self

import numpy as np
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Array, Channel, Interactions, Queries

_BLOCK_ITEMS = 1024


class ItemKnn(Channel):
    """Sums, over a history's distinct items, the shrunk cosine to each candidate's nearest items.

    The cosine of two items is ``both / (sqrt(a * b) + shrink)`` over their numbers of users. Each *candidate*
    keeps its `num_neighbours` nearest items: keeping the nearest per item of the history would favour popular
    candidates, and measures worse.

    Attributes:
        weights: float32 CSR `[num_items, num_items]` from a history's item to a candidate, set by `fit`.
    """

    name = "item_knn"

    def __init__(self, *, num_neighbours: int = 200, shrink: float = 10.0) -> None:
        self.num_neighbours = num_neighbours
        self.shrink = shrink

    def fit(self, interactions: Interactions) -> Self:
        """Learns the neighbours of every item, a block of candidates at a time."""
        users_items = interactions.binary()
        norms = np.sqrt(np.asarray(users_items.sum(axis=0)).ravel())
        num_items = interactions.num_items
        # Column slices of a CSR matrix copy all of it; CSC gives a block at its own cost.
        by_item = users_items.tocsc()
        blocks = []
        for start in range(0, num_items, _BLOCK_ITEMS):
            candidates = np.arange(start, min(start + _BLOCK_ITEMS, num_items))
            both = (users_items.T @ by_item[:, candidates]).toarray()
            cosine = both / np.maximum(np.outer(norms, norms[candidates]) + self.shrink, 1e-12)
            cosine[candidates, candidates - start] = 0.0
            if self.num_neighbours < num_items:
                far = np.argpartition(-cosine, self.num_neighbours, axis=0)[self.num_neighbours :]
                np.put_along_axis(cosine, far, 0.0, axis=0)
            blocks.append(sparse.csc_matrix(cosine.astype(np.float32)))
        self.weights = sparse.hstack(blocks, format="csr")
        return self

    def score(self, queries: Queries) -> Array:
        """Summed cosines: float32 `[num_queries, num_items]`; candidates near nothing are ``-inf``."""
        histories = queries.history_counts().astype(np.float32)
        histories.data[:] = 1.0
        scores = (histories @ self.weights).toarray()
        scores[scores <= 0.0] = -np.inf
        return scores
