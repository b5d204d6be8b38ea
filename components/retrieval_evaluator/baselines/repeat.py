"""A user's own purchase count: the baseline to beat on a reorder page."""

from __future__ import annotations

from typing import Self

import numpy as np

from components.retrieval_evaluator.baselines.base import Array, Channel, Queries


class Repeat(Channel):
    """Counts each item in the history; equal counts, zero among them, are in the order of recent popularity.

    Attributes:
        tie_scores: float32 `[num_items]` in [0, 1), set by `fit`; ``-inf`` for items nobody ever had.
    """

    name = "repeat"

    def fit(self, item_scores: Array) -> Self:
        """Takes the order of equal counts: float32 `[num_items]` scores as `RecentPopularity` learns them."""
        known = np.isfinite(item_scores)
        largest = item_scores[known].max(initial=0.0)
        self.tie_scores = np.where(known, item_scores / (largest + 1), -np.inf).astype(np.float32)
        return self

    def score(self, queries: Queries) -> Array:
        """Own count plus a popularity below 1: float32 `[num_queries, num_items]`."""
        counts = queries.history_counts().astype(np.float32).toarray()
        return counts + self.tie_scores
