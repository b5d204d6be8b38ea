"""Facets: how many of all matches have each value, and the order by a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from serving.servable.rules import Rules

_NUM_BINS = 10


class Counts(NamedTuple):
    """What the matches of each row are.

    Attributes:
        values: string ``[batch, n]``, ``column=value``, the commonest first; "" for none.
        counts: int32 ``[batch, n]``.
        columns: string ``[batch, num_numeric]``.
        edges: float32 ``[batch, num_numeric, 11]``, of the bins.
        histograms: int32 ``[batch, num_numeric, 10]``. The last bin holds its upper edge too.
    """

    values: tf.Tensor
    counts: tf.Tensor
    columns: tf.Tensor
    edges: tf.Tensor
    histograms: tf.Tensor


class Facets(tf.Module):
    """Counts the values of items.

    The bins of a numeric column hold about as many items of the whole catalogue each.

    Args:
        rules: Of the catalogue, with the same numbers.
        numbers: The values of each numeric column, float ``[num_items]``, NaN where there is none.
    """

    def __init__(self, rules: Rules, numbers: Mapping[str, np.ndarray]) -> None:
        super().__init__(name="facets")
        self._rules, self._columns = rules, list(numbers)
        values = [np.asarray(column, np.float32) for column in numbers.values()]
        edges = [_edges(column) for column in values]
        bins = [
            np.where(np.isnan(column), _NUM_BINS, np.clip(np.searchsorted(edge, column, "right") - 1, 0, 9))
            for column, edge in zip(values, edges, strict=True)
        ]
        # A variable, as all that grows with the catalogue; it may not be empty.
        size = (rules.num_items, max(len(values), 1))
        self._bins = tf.Variable(np.reshape(bins or np.zeros(size), size[::-1]).astype(np.int32))
        self._edges = np.reshape(edges, (len(values), _NUM_BINS + 1)).astype(np.float32)

    def __call__(self, is_match: tf.Tensor, most: tf.Tensor) -> Counts:
        """Counts the matches.

        Args:
            is_match: bool ``[batch, num_items]``.
            most: int32 ``[]``, how many values are wanted.
        """
        batch = tf.shape(is_match)[0]
        values, counts = self._rules.common_values(is_match, most)
        where = tf.where(is_match)
        histograms = []
        for column in range(len(self._columns)):
            bins = tf.gather(self._bins[column], where[:, 1])
            cells = tf.cast(where[:, 0], tf.int32) * (_NUM_BINS + 1) + bins
            sums = tf.math.unsorted_segment_sum(tf.ones_like(cells), cells, batch * (_NUM_BINS + 1))
            histograms.append(tf.reshape(sums, [batch, _NUM_BINS + 1])[:, :_NUM_BINS])
        return Counts(
            values=values,
            counts=counts,
            columns=tf.repeat(tf.constant([self._columns], tf.string), batch, axis=0),
            edges=tf.repeat(tf.constant(self._edges)[None], batch, axis=0),
            histograms=tf.stack(histograms, axis=1)
            if histograms
            else tf.zeros([batch, 0, _NUM_BINS], tf.int32),
        )

    def keys(self, sort: tf.Tensor) -> tf.Tensor:
        """What items are sorted by, the highest first: float32 ``[batch, num_items]``, NaN where nothing is.

        Args:
            sort: string ``[batch]``: a numeric column for the lowest value first, or the column behind a "-"
                for the highest first. Of another text nothing is known.
        """
        keys = tf.fill([tf.shape(sort)[0], self._rules.num_items], np.float32(np.nan))
        for number, name in enumerate(self._columns):
            for text, sign in ((name, -1.0), (f"-{name}", 1.0)):
                keys = tf.where((sort == text)[:, None], sign * self._rules.numbers[number][None], keys)
        return keys


def _edges(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    return np.quantile(known if len(known) else np.zeros(1), np.linspace(0.0, 1.0, _NUM_BINS + 1))
