"""Users like this one, and what they chose lately."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from models.channels.ridge import logarithmic
from models.event_log import DAY_S, EventLog

Array = np.ndarray[Any, Any]

_NUM_NEIGHBOURS = 150


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeighbourTables:
    """The users who chose something lately, by item and by user.

    Attributes:
        user_rows: int32 ``[num_neighbours]``, rows of the log's user table.
        item_starts: int64 ``[num_items + 1]``: item ``i`` has the postings ``[starts[i], starts[i + 1])``.
        posting_users: int32 ``[num_postings]``, positions in ``user_rows``.
        posting_weights: float32 ``[num_postings]``; those of one user have length 1.
        user_starts: int64 ``[num_neighbours + 1]``, likewise for what each chose lately.
        recent_items: int32 ``[num_recent]``.
    """

    user_rows: Array
    item_starts: Array
    posting_users: Array
    posting_weights: Array
    user_starts: Array
    recent_items: Array

    @classmethod
    def fit(cls, log: EventLog, now: int, *, half_life_days: float, recent_days: float) -> NeighbourTables:
        """Keeps the users of the last ``recent_days``: nobody else can speak for anything."""
        recent = log.between(now - int(recent_days * DAY_S), now).binary()
        users = np.flatnonzero(np.diff(recent.indptr))
        weights = logarithmic(log.between(None, now).decayed(now, half_life_days))[users]
        lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
        weights.data /= np.repeat(np.maximum(lengths, 1e-9), np.diff(weights.indptr)).astype(np.float32)
        by_item, chosen = weights.tocsc(), recent[users]
        return cls(
            user_rows=users.astype(np.int32),
            item_starts=by_item.indptr.astype(np.int64),
            posting_users=by_item.indices.astype(np.int32),
            posting_weights=by_item.data.astype(np.float32),
            user_starts=chosen.indptr.astype(np.int64),
            recent_items=chosen.indices.astype(np.int32),
        )

    def on_rows(self, rows: Array, num_items: int) -> NeighbourTables:
        """The tables in the rows of another catalogue.

        Args:
            rows: int64 ``[num_items_before]``, the new row of each item, -1 where it is gone.
            num_items: Rows of that catalogue.
        """
        items = rows[np.repeat(np.arange(len(self.item_starts) - 1), np.diff(self.item_starts))]
        order = np.argsort(items, kind="stable")
        order = order[items[order] >= 0]
        users = np.repeat(np.arange(len(self.user_rows)), np.diff(self.user_starts))
        recent = rows[self.recent_items]
        counts = np.bincount(users[recent >= 0], minlength=len(self.user_rows))
        return dataclasses.replace(
            self,
            item_starts=np.searchsorted(items[order], np.arange(num_items + 1)).astype(np.int64),
            posting_users=self.posting_users[order],
            posting_weights=self.posting_weights[order],
            user_starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            recent_items=recent[recent >= 0].astype(np.int32),
        )


class Neighbours(tf.Module):
    """Sums, over the users of largest cosine with a history, the cosine for each item they chose lately.

    Args:
        tables: What was fitted.
        num_items: Rows of the item table.
    """

    def __init__(self, tables: NeighbourTables, num_items: int) -> None:
        super().__init__(name="neighbours")
        self._num_items, self._num_users = num_items, len(tables.user_rows)
        self._item_starts, self._posting_users, self._posting_weights, self._user_starts, self._recent = (
            tf.Variable(values, trainable=False)
            for values in (
                tables.item_starts,
                tables.posting_users,
                tables.posting_weights,
                tables.user_starts,
                tables.recent_items,
            )
        )

    def __call__(self, rows: tf.Tensor, weights: tf.Tensor, self_position: tf.Tensor) -> tf.Tensor:
        """Scores the catalogue.

        Args:
            rows: int32 ``[batch, length]``, -1 is padding.
            weights: float32 ``[batch, length]``, 0 for padding.
            self_position: int32 ``[batch]``, who asks, who is nobody's neighbour; -1 for a stranger.

        Returns:
            float32 ``[batch, num_items]``.
        """
        batch = tf.shape(rows)[0]
        if not self._num_users:
            return tf.zeros([batch, self._num_items])
        lengths = tf.sqrt(tf.reduce_sum(weights**2, axis=1, keepdims=True))
        weights = weights / tf.maximum(lengths, 1e-9)
        positions, of_item = _ranges(self._item_starts, tf.reshape(tf.maximum(rows, 0), [-1]))
        length = tf.shape(rows)[1]
        said = tf.gather(self._posting_weights, positions) * tf.gather(tf.reshape(weights, [-1]), of_item)
        segments = tf.gather(self._posting_users, positions) + self._num_users * (of_item // length)
        cosine = tf.reshape(
            tf.math.unsorted_segment_sum(said, segments, batch * self._num_users), [batch, self._num_users]
        )
        cosine *= 1.0 - tf.one_hot(self_position, self._num_users)
        best, users = tf.math.top_k(cosine, min(_NUM_NEIGHBOURS, self._num_users))
        positions, of_user = _ranges(self._user_starts, tf.reshape(users, [-1]))
        segments = tf.gather(self._recent, positions) + self._num_items * (of_user // tf.shape(users)[1])
        scores = tf.math.unsorted_segment_sum(
            tf.gather(tf.reshape(best, [-1]), of_user), segments, batch * self._num_items
        )
        return tf.reshape(scores, [batch, self._num_items])


def _ranges(starts: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The positions from ``starts[row]`` to ``starts[row + 1]`` of each row, and which row each is of."""
    first, end = tf.gather(starts, rows), tf.gather(starts, rows + 1)
    ragged = tf.ragged.range(first, end)
    return ragged.flat_values, tf.cast(ragged.value_rowids(), tf.int32)
