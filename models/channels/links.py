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


def follow(
    links_items: tf.Tensor, links_weights: tf.Tensor, rows: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """Scores the catalogue by the links of a history.

    Args:
        links_items: int32 ``[num_items, num_links]``.
        links_weights: float32 ``[num_items, num_links]``.
        rows: int32 ``[batch, length]``, -1 is padding.
        weights: float32 ``[batch, length]``, 0 for padding.

    Returns:
        float32 ``[batch, num_items]``: ``Σ_h weights[h] · links[h, item]``.
    """
    batch, num_items = tf.shape(rows)[0], tf.shape(links_items)[0]
    safe = tf.maximum(rows, 0)
    targets = tf.gather(links_items, safe) + num_items * tf.range(batch)[:, None, None]
    said = tf.gather(links_weights, safe) * weights[..., None]
    total = tf.math.unsorted_segment_sum(tf.reshape(said, [-1]), tf.reshape(targets, [-1]), batch * num_items)
    return tf.reshape(total, [batch, num_items])
