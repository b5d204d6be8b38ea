"""Recent popularity: the baseline that answers anybody."""

from __future__ import annotations

from typing import Self

import numpy as np
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Array, Channel, Interactions, Queries

_WEEK_S = 7 * 24 * 3600
# Small enough to decide nothing but ties, large enough for float32.
_TIE_BREAK = 1e-4


class RecentPopularity(Channel):
    """Counts each item's events of the last weeks; a user's further events with one item count less.

    A user with ``n`` events adds ``n ** damping``: 1 counts events, 0 counts users. Equal items are ordered
    by their popularity over all time, which also orders what nobody bought lately.

    Attributes:
        item_scores: float32 `[num_items]`, ``-inf`` for items without events, set by `fit`.

    Example:
        >>> log = Interactions(user_rows=np.array([0, 1]), item_rows=np.array([1, 1]),
        ...                    times=np.array([10, 20]), num_users=2, num_items=3)
        >>> RecentPopularity().fit(log, now=30).item_scores.argmax()
        np.int64(1)
    """

    name = "popular"

    def __init__(self, *, weeks: float = 8, damping: float = 0.75) -> None:
        self.weeks = weeks
        self.damping = damping

    def fit(self, interactions: Interactions, *, now: int) -> Self:
        """Learns from the events before `now`, in epoch seconds, which ends the window of the last weeks."""
        past = interactions.between(None, now)
        ever = np.bincount(past.item_rows, minlength=past.num_items)
        recent = _damped_counts(past.between(now - round(self.weeks * _WEEK_S), None), self.damping)
        share = _TIE_BREAK * ever / max(ever.max(initial=0), 1)
        self.item_scores = np.where(ever > 0, recent * (1 + share) + share, -np.inf).astype(np.float32)
        return self

    def score(self, queries: Queries) -> Array:
        """The same scores for every query: float32 `[num_queries, num_items]`."""
        return np.tile(self.item_scores, (len(queries), 1))


def _damped_counts(interactions: Interactions, damping: float) -> Array:
    counts: sparse.csr_matrix = interactions.counts()
    counts.data **= damping
    return np.asarray(counts.sum(axis=0)).ravel()
