"""Exact retrieval over the whole catalogue: one matrix product and one top-k, in core TF ops."""

from __future__ import annotations

import tensorflow as tf


class Retriever(tf.Module):
    """The dense channel: items by dot product with the query vector.

    Args:
        item_vectors: float32 ``[num_items, dim]``, from the item tower.
        text_dim: Width of the text part, with which a vector begins.
    """

    # The parts of a score, in the order of `parts`.
    PARTS = ("text", "behaviour")

    def __init__(self, item_vectors: tf.Tensor, *, text_dim: int):
        super().__init__(name="retriever")
        self.item_vectors = tf.Variable(item_vectors, trainable=False, name="item_vectors")
        self.text_dim = text_dim

    def scores(self, query_vectors: tf.Tensor) -> tf.Tensor:
        """Scores of every item: float32 ``[batch, num_items]`` for float32 ``[batch, dim]``."""
        return tf.matmul(query_vectors, self.item_vectors, transpose_b=True)

    def top(
        self, query_vectors: tf.Tensor, allowed: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The best allowed items.

        Args:
            query_vectors: float32 ``[batch, dim]``.
            allowed: bool ``[batch or 1, num_items]``; the others are never returned.
            k: int32 ``[]``; more than there are items means all.

        Returns:
            rows int32, scores float32 and is-valid bool, each ``[batch, min(k, num_items)]``, best first.
            Where fewer are allowed, the rest is not valid.
        """
        scores = tf.where(allowed, self.scores(query_vectors), -float("inf"))
        k = tf.minimum(k, tf.shape(self.item_vectors)[0])
        values, rows = tf.math.top_k(scores, k)
        is_valid = values > -float("inf")
        return rows, tf.where(is_valid, values, tf.zeros_like(values)), is_valid

    def parts(self, query_vectors: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """What text and behaviour (popularity included) say of each candidate.

        Args:
            query_vectors: float32 ``[batch, dim]``.
            rows: int32 ``[batch, n]``.

        Returns:
            float32 ``[batch, n, 2]``, which sum to the score.
        """
        vectors = tf.gather(self.item_vectors, rows)
        products = query_vectors[:, None] * vectors
        text = tf.reduce_sum(products[..., : self.text_dim], axis=-1)
        behaviour = tf.reduce_sum(products[..., self.text_dim :], axis=-1)
        return tf.stack([text, behaviour], axis=-1)
