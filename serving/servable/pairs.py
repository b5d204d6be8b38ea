"""Pairs ``column=value`` of the items in one categorical column."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.categories import Lists


class PairColumn(tf.Module):
    """Says which items have which pairs.

    Where every item has one value, it is looked up. Where items have several, the items of a pair are listed.

    Args:
        pairs: int32 numbers of each item's pairs, one at least and none twice.
        num_pairs: Of all columns.
    """

    def __init__(self, pairs: Lists, num_pairs: int) -> None:
        super().__init__(name="pairs")
        self._num_items, self._num_pairs = len(pairs.lengths), num_pairs
        self._pairs = _variable(pairs.values)
        self._is_single = bool((pairs.lengths == 1).all())
        if not self._is_single:
            self._starts = _variable(pairs.starts)
            order = np.argsort(pairs.values, kind="stable")
            self._items = _variable(pairs.owners[order])
            self._starts_of_pairs = _variable(np.searchsorted(pairs.values[order], np.arange(num_pairs + 2)))

    def pass_filters(self, marks: tf.Tensor, is_asked: tf.Tensor) -> tf.Tensor:
        """Which items pass: bool ``[batch, num_items]``.

        Args:
            marks: float32 ``[batch, num_pairs + 1]``: above 0 for a pair that is wanted, and below 0 for one
                that an item must not have.
            is_asked: bool ``[batch, 1]``, whether an item must have one that is wanted.
        """
        if self._is_single:
            return tf.gather(marks >= tf.cast(is_asked, tf.float32), self._pairs, axis=1)
        return (self._has(marks > 0) | ~is_asked) & ~self._has(marks < 0)

    def _has(self, is_named: tf.Tensor) -> tf.Tensor:
        """Which items have a pair of bool ``[batch, num_pairs + 1]``: bool ``[batch, num_items]``."""
        batch = tf.shape(is_named)[0]
        row, pair = tf.unstack(tf.cast(tf.where(is_named), tf.int32), axis=1)
        places, owner = _ranges(self._starts_of_pairs, pair)
        cells = tf.gather(row, owner) * self._num_items + tf.gather(self._items, places)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(cells), cells, batch * self._num_items)
        return tf.reshape(counts > 0, [batch, self._num_items])

    def total(self, values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """The sums of what the items' pairs count: float32 ``[batch, n]``.

        Args:
            values: float32 ``[batch, num_pairs + 1]``.
            rows: int32 ``[batch, n]``, items.
        """
        if self._is_single:
            return tf.gather(values, tf.gather(self._pairs, rows), batch_dims=1)
        batch, n = tf.unstack(tf.shape(rows))
        places, owner = _ranges(self._starts, tf.reshape(rows, [-1]))
        cells = owner // tf.maximum(n, 1) * (self._num_pairs + 1) + tf.gather(self._pairs, places)
        of_pairs = tf.gather(tf.reshape(values, [-1]), cells)
        return tf.reshape(tf.math.unsorted_segment_sum(of_pairs, owner, batch * n), [batch, n])

    def cells(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """The places in a table ``[batch, num_pairs + 1]``, as one row, of the pairs that items have.

        Args:
            rows: int32 ``[n]``, the row of the table that each item counts in.
            items: int32 ``[n]``.

        Returns:
            int32, one at least for each item.
        """
        starts = rows * (self._num_pairs + 1)
        if self._is_single:
            return starts + tf.gather(self._pairs, items)
        places, owner = _ranges(self._starts, items)
        return tf.gather(starts, owner) + tf.gather(self._pairs, places)


def _variable(values: np.ndarray) -> tf.Variable:
    return tf.Variable(values.astype(np.int32), trainable=False)


def _ranges(starts: tf.Variable, lists: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The places of all values of int32 ``[n]`` lists, and the number, below ``n``, of the list of each."""
    # The raw op: the ragged tensor around it takes thirty ops more to say whose each place is.
    splits, places = tf.raw_ops.RaggedRange(
        starts=tf.gather(starts, lists), limits=tf.gather(starts, lists + 1), deltas=1, Tsplits=tf.int32
    )
    # Sums in place of a search for each place: there may be as many as the catalogue has values.
    ends = splits[1:-1]
    begun = tf.math.unsorted_segment_sum(tf.ones_like(ends), ends, tf.size(places) + 1)
    return places, tf.cumsum(begun)[:-1]
