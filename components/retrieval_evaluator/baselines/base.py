"""The interface of a baseline: what it learns from, how it is asked, and how it answers."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interactions:
    """Events as arrays, in any order.

    Attributes:
        user_rows: int32 `[n]`.
        item_rows: int32 `[n]`, rows of the item table.
        times: int64 `[n]`, epoch seconds.
        num_users: Rows of the user table.
        num_items: Rows of the item table.
    """

    user_rows: Array
    item_rows: Array
    times: Array
    num_users: int
    num_items: int

    def __len__(self) -> int:
        return len(self.times)

    def between(self, start: int | None, end: int | None) -> Interactions:
        """The events with `start` <= time < `end`; ``None`` is open."""
        keep = np.ones(len(self), bool)
        if start is not None:
            keep &= self.times >= start
        if end is not None:
            keep &= self.times < end
        return self.where(keep)

    def where(self, keep: Array) -> Interactions:
        """The events of a bool `[n]` mask."""
        return dataclasses.replace(
            self, user_rows=self.user_rows[keep], item_rows=self.item_rows[keep], times=self.times[keep]
        )

    def without(self, pairs: sparse.csr_matrix) -> Interactions:
        """The events of other pairs than those not 0 in CSR `[num_users, num_items]`."""
        return self.where(np.asarray(pairs[self.user_rows, self.item_rows]).ravel() == 0)

    def is_last_moment(self) -> Array:
        """Which events are of the last second of their user: bool `[n]`."""
        last = np.zeros(self.num_users, np.int64)
        np.maximum.at(last, self.user_rows, self.times)
        latest: Array = self.times == last[self.user_rows]
        return latest

    def counts(self) -> sparse.csr_matrix:
        """How often each user met each item: float64 `[num_users, num_items]`."""
        ones = np.ones(len(self))
        shape = (self.num_users, self.num_items)
        return sparse.csr_matrix((ones, (self.user_rows, self.item_rows)), shape=shape)

    def binary(self) -> sparse.csr_matrix:
        """Whether each user met each item: float64 `[num_users, num_items]` of ones."""
        matrix = self.counts()
        matrix.data[:] = 1.0
        return matrix


@dataclasses.dataclass(frozen=True, kw_only=True)
class Queries:
    """A batch of questions to a channel; each part may be empty.

    Attributes:
        user_rows: int32 `[num_queries]`, -1 for an unknown user.
        history_starts: int64 `[num_queries + 1]`: query ``q`` has the history ``[starts[q], starts[q + 1])``.
        history_items: int32 `[num_events]`, rows of the item table, most recent first.
        history_times: int64 `[num_events]`, epoch seconds.
        texts: One per query, "" for none.
        num_items: Rows of the item table.
    """

    user_rows: Array
    history_starts: Array
    history_items: Array
    history_times: Array
    texts: tuple[str, ...]
    num_items: int

    def __len__(self) -> int:
        return len(self.user_rows)

    @classmethod
    def of_users(cls, interactions: Interactions, user_rows: Array) -> Queries:
        """Asks for users with everything they did in `interactions` as their history."""
        order = np.lexsort((-interactions.times, interactions.user_rows))
        users = interactions.user_rows[order]
        first = np.searchsorted(users, user_rows, side="left")
        lengths = np.searchsorted(users, user_rows, side="right") - first
        starts = np.concatenate([[0], np.cumsum(lengths)])
        # Position of each event in `order`: its query's first one plus its distance from the query's start.
        events = order[np.repeat(first - starts[:-1], lengths) + np.arange(starts[-1])]
        return cls(
            user_rows=np.asarray(user_rows, np.int32),
            history_starts=starts,
            history_items=interactions.item_rows[events],
            history_times=interactions.times[events],
            texts=("",) * len(user_rows),
            num_items=interactions.num_items,
        )

    @classmethod
    def of_texts(cls, texts: list[str], num_items: int) -> Queries:
        """Asks with a text and nothing else."""
        return cls(
            user_rows=np.full(len(texts), -1, np.int32),
            history_starts=np.zeros(len(texts) + 1, np.int64),
            history_items=np.zeros(0, np.int32),
            history_times=np.zeros(0, np.int64),
            texts=tuple(texts),
            num_items=num_items,
        )

    def __getitem__(self, part: slice) -> Queries:
        """The queries of a contiguous slice."""
        start, stop, _ = part.indices(len(self))
        low, high = self.history_starts[start], self.history_starts[stop]
        return Queries(
            user_rows=self.user_rows[start:stop],
            history_starts=self.history_starts[start : stop + 1] - low,
            history_items=self.history_items[low:high],
            history_times=self.history_times[low:high],
            texts=self.texts[start:stop],
            num_items=self.num_items,
        )

    def history_counts(self) -> sparse.csr_matrix:
        """How often each item is in each history: float64 `[num_queries, num_items]`."""
        shape = (len(self), self.num_items)
        ones = np.ones(len(self.history_items))
        # A copy of the indices, because summing duplicates would reorder the history's own.
        matrix = sparse.csr_matrix((ones, self.history_items.copy(), self.history_starts), shape=shape)
        matrix.sum_duplicates()
        return matrix


class Channel(abc.ABC):
    """One way to find candidates, and by itself a baseline.

    A channel learns with a ``fit`` of its own that takes what it learns from and returns the channel. What it
    learnt are plain arrays, so that a servable can hold them as constants.

    Attributes:
        name: What the channel is called in requests, features and reports.
    """

    name: str

    @abc.abstractmethod
    def score(self, queries: Queries) -> Array:
        """Scores the whole catalogue for each query.

        Returns:
            float32 `[num_queries, num_items]`; higher is better, ``-inf`` is not a candidate.
        """
