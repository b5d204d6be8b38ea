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

    def __init__(self, item_vectors: tf.Tensor, *, text_dim: int) -> None:
        super().__init__(name="retriever")
        self._item_vectors = tf.Variable(item_vectors, trainable=False, name="item_vectors")
        self.text_dim = text_dim

    @property
    def item_vectors(self) -> tf.Tensor:
        """float32 ``[num_items, dim]``.

        A tensor, because a variable that is both multiplied and gathered from is copied at every read.
        """
        return tf.convert_to_tensor(self._item_vectors)

    def scores(self, query_vectors: tf.Tensor) -> tf.Tensor:
        """Scores of every item: float32 ``[batch, num_items]`` for float32 ``[batch, dim]``."""
        return tf.matmul(query_vectors, self.item_vectors, transpose_b=True)

    def scores_of(self, query_vectors: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Scores of int32 ``[batch, n]`` items: float32 ``[batch, n]`` for float32 ``[batch, dim]``."""
        return tf.linalg.matvec(tf.gather(self.item_vectors, rows), query_vectors)

    def top(
        self,
        query_vectors: tf.Tensor,
        k: tf.Tensor,
        *,
        allowed: tf.Tensor | None = None,
        excluded: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The best allowed items.

        Args:
            query_vectors: float32 ``[batch, dim]``.
            k: int32 ``[]``; more than there are items means all.
            allowed: bool ``[batch or 1, num_items]``; the others are never returned.
            excluded: int32 ``[batch, n]``, rows that are never returned either; -1 for none.

        Returns:
            rows int32, scores float32 and is-valid bool, each ``[batch, min(k, num_items)]``, best first.
            Where fewer are allowed, the rest is not valid.
        """
        scores = self.scores(query_vectors)
        if allowed is not None:
            scores = tf.where(allowed, scores, -float("inf"))
        if excluded is not None:
            # A few positions a query, where a mask would be as large as the catalogue.
            where = tf.where(excluded >= 0)
            positions = tf.stack([where[:, 0], tf.cast(tf.gather_nd(excluded, where), tf.int64)], axis=1)
            nothing = tf.fill([tf.shape(where)[0]], -float("inf"))
            scores = tf.tensor_scatter_nd_update(scores, positions, nothing)
        k = tf.minimum(k, tf.shape(scores)[1])
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
