"""Features of a query and one of its candidates, the same code in training and in serving."""

from __future__ import annotations

import tensorflow as tf

from models.retriever import Retriever

_NOT_VALID = -1e9


class CandidateFeatures(tf.Module):
    """Features of query-item pairs.

    Args:
        retriever: The dense channel.
        item_numbers: float32 ``[num_items, num_numbers]``, the scaled numeric columns.
        item_shares: float32 ``[num_items]``, each item's share of the training interactions.
    """

    def __init__(self, retriever: Retriever, *, item_numbers: tf.Tensor, item_shares: tf.Tensor) -> None:
        super().__init__(name="candidate_features")
        self._retriever = retriever
        # Variables, as all that grows with the catalogue: the graph optimiser copies constants many times.
        self._numbers = tf.Variable(item_numbers, trainable=False, dtype=tf.float32)
        num_items = float(item_shares.shape[0])
        self._popularity = tf.Variable(
            tf.math.log(1.0 + num_items * tf.constant(item_shares, tf.float32)), trainable=False
        )

    def __call__(
        self,
        query_vectors: tf.Tensor,
        rows: tf.Tensor,
        is_valid: tf.Tensor,
        history_rows: tf.Tensor,
        history_counts: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Builds the ranker's inputs.

        Args:
            query_vectors: float32 ``[batch, dim]``.
            rows: int32 ``[batch, n]``, candidates.
            is_valid: bool ``[batch, n]``, false for padding.
            history_rows: int32 ``[batch, length]``, -1 is padding, most recent first.
            history_counts: float32 ``[batch, length]``.

        Returns:
            ``score`` float32 ``[batch, n]``, the retrieval score below that of the best candidate; ``dense``
            float32 ``[batch, n, num_features]``; ``product`` float32 ``[batch, n, dim]``, query times item.
        """
        parts = self._retriever.parts(query_vectors, rows)
        total = tf.reduce_sum(parts, axis=-1)
        score = _below_best(total, is_valid)
        ranked = tf.argsort(
            tf.where(is_valid, total, _NOT_VALID), axis=1, direction="DESCENDING", stable=True
        )
        order = tf.argsort(ranked, axis=1, stable=True)
        count, recency = _in_history(rows, history_rows, history_counts)
        length = tf.reduce_sum(tf.cast(history_counts > 0, tf.float32), axis=1, keepdims=True)
        asked = tf.cast(
            tf.reduce_any(query_vectors[:, : self._retriever.text_dim] != 0, axis=1, keepdims=True),
            tf.float32,
        )
        spread = tf.zeros_like(score)
        dense = [
            score,
            _below_best(parts[..., 0], is_valid),
            _below_best(parts[..., 1], is_valid),
            tf.math.log1p(tf.cast(order, tf.float32)),
            tf.math.log1p(count),
            recency,
            tf.math.log1p(length) + spread,
            asked + spread,
            tf.gather(self._popularity, rows),
        ]
        numbers = tf.gather(self._numbers, rows)
        item_vectors = tf.gather(self._retriever.item_vectors, rows)
        return {
            "score": score,
            "dense": tf.concat([tf.stack(dense, axis=-1), numbers], axis=-1),
            "product": query_vectors[:, None] * item_vectors,
        }


def _below_best(values: tf.Tensor, is_valid: tf.Tensor) -> tf.Tensor:
    """How far each is below the best valid one: padding and what is forbidden must say nothing."""
    best = tf.reduce_max(tf.where(is_valid, values, _NOT_VALID), axis=1, keepdims=True)
    return tf.where(is_valid, values - best, -30.0)


def _in_history(rows: tf.Tensor, history_rows: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """How often and how recently each candidate was chosen: float32 ``[batch, n]`` each, 0 for never."""
    length = tf.shape(history_rows)[1]
    recency = 1.0 / (1.0 + tf.cast(tf.range(length), tf.float32) / 8.0)
    same = tf.cast(rows[:, :, None] == history_rows[:, None, :], tf.float32)
    count = tf.einsum("bnl,bl->bn", same, counts)
    return count, tf.einsum("bnl,l->bn", same, recency)
