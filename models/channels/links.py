"""Links from the items of a history to candidates: what most channels are, once they are fitted."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from models.channels.history import History

Array = np.ndarray[Any, Any]

# How much an item of a history counts, by channel.
SHORT, MIDDLE, LONG, DECAYED, NORMED, BINARY = "short", "middle", "long", "decayed", "normed", "binary"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Links:
    """The strongest links of each item.

    Attributes:
        items: int32 ``[num_items, num_links]``, the candidates an item of a history speaks for.
        weights: float32 ``[num_items, num_links]``, 0 is padding.
    """

    items: Array
    weights: Array

    @classmethod
    def none(cls, num_items: int) -> Links:
        """Links that say nothing."""
        return cls(items=np.zeros((num_items, 1), np.int32), weights=np.zeros((num_items, 1), np.float32))

    @classmethod
    def strongest(cls, matrix: Array, num_links: int) -> Links:
        """Keeps the largest weights of each row of a float32 ``[num_items, num_items]`` matrix."""
        num_links = min(num_links, matrix.shape[1])
        items = np.empty((len(matrix), num_links), np.int32)
        for start in range(0, len(matrix), 1024):
            block = matrix[start : start + 1024]
            kept = np.argpartition(-np.abs(block), num_links - 1, axis=1)[:, :num_links]
            items[start : start + 1024] = kept
        return cls(items=items, weights=np.take_along_axis(matrix, items, axis=1).astype(np.float32))

    def on_rows(self, rows: Array, num_items: int) -> Links:
        """The links in the rows of another catalogue.

        Args:
            rows: int64 ``[num_items_before]``, the new row of each item, -1 where it is gone.
            num_items: Rows of that catalogue.
        """
        moved = rows[self.items]
        items = np.zeros((num_items, self.items.shape[1]), np.int32)
        weights = np.zeros(items.shape, np.float32)
        stays = rows >= 0
        items[rows[stays]] = np.maximum(moved[stays], 0)
        weights[rows[stays]] = np.where(moved >= 0, self.weights, 0.0)[stays]
        return Links(items=items, weights=weights)


def history_weights(history: History, kind: str) -> tf.Tensor:
    """How much each item of a history counts: float32 ``[batch, length]``, 0 for padding."""
    short, middle, long = tf.unstack(history.logarithmic, 3)
    if kind == NORMED:
        # So that somebody with many items does not outweigh those with few in a regression over users.
        norm = tf.sqrt(tf.sqrt(tf.reduce_sum(middle**2, axis=1, keepdims=True)))
        return middle / tf.maximum(norm, 1e-6)
    chosen = {SHORT: short, MIDDLE: middle, LONG: long, DECAYED: history.decayed[1]}
    return tf.cast(history.is_item, tf.float32) if kind == BINARY else chosen[kind]


def follow(items: tf.Tensor, weights: tf.Tensor, counts: tf.Tensor, num_items: int) -> tf.Tensor:
    """Scores the catalogue by the links of a history, in several channels at once.

    Args:
        items: int32 ``[batch, length, num_channels, num_links]``, where each item of the history leads to.
        weights: float32, likewise.
        counts: float32 ``[batch, length, num_channels]``, how much each item counts, 0 for padding.
        num_items: Size of the catalogue.

    Returns:
        float32 ``[batch, num_channels, num_items]``: ``Σ_h counts[h] · weights[h, item]``.
    """
    batch, _, num_channels, _ = tf.unstack(tf.shape(items))
    lines = tf.range(batch)[:, None] * num_channels + tf.range(num_channels)
    total = tf.math.unsorted_segment_sum(
        tf.reshape(weights * counts[..., None], [-1]),
        tf.reshape(items + num_items * lines[:, None, :, None], [-1]),
        batch * num_channels * num_items,
    )
    return tf.reshape(total, [batch, num_channels, num_items])
