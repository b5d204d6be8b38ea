"""The encoder of a history, which becomes one vector."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops


class HistoryEncoder(keras.layers.Layer):
    """Additive attention with several heads over the items of a history (Bahdanau et al. 2015), recent first.

    Recency enters as the position in the list, not as an age, so that a caller need only send ids.

    Args:
        num_items: Size of the catalogue.
        dim: Width of an item inside a history.
        num_heads: Ways of weighing the items; their means are concatenated.

    Call arguments:
        values: float32 ``[batch, length, dim]``, from `item_values`.
        counts: float32 ``[batch, length]``, how often each was chosen; 0 is padding.

    Returns:
        float32 ``[batch, num_heads * dim + 1]``; zeros for an empty history.
    """

    def __init__(self, num_items: int, *, dim: int, num_heads: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_items, self.dim, self.num_heads, self.seed = num_items, dim, num_heads, seed
        normal = keras.initializers.RandomNormal(stddev=0.05, seed=seed)
        self.id_embedding = keras.layers.Embedding(
            num_items, dim, embeddings_initializer=normal, name="history_id_embedding"
        )
        self.text_projection = keras.layers.Dense(
            dim, use_bias=False, kernel_initializer=normal, name="history_text_projection"
        )
        self.hidden = keras.layers.Dense(64, activation="gelu", name="hidden")
        self.weights_of_heads = keras.layers.Dense(num_heads, name="weights_of_heads")

    def build(self, *shapes: Any, **named: Any) -> None:
        """Creates the id table; the rest is built when first called."""
        self.id_embedding.build((None,))
        self.built = True

    def item_values(self, rows: tf.Tensor, text_vectors: tf.Tensor) -> tf.Tensor:
        """What an item contributes to a history.

        Args:
            rows: int32 ``[…]``, item rows.
            text_vectors: float32 ``[…, text_dim]``.

        Returns:
            float32 ``[…, dim]``.
        """
        return self.id_embedding(rows) + ops.cast(self.text_projection(text_vectors), "float32")

    def call(self, values: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        mask = ops.cast(counts > 0, "float32")
        position = ops.cumsum(mask, axis=1) - 1.0
        recency = ops.log1p(ops.relu(position) / 4.0)
        clues = ops.stack([recency, ops.log1p(counts), mask], axis=-1)
        hidden = self.hidden(ops.concatenate([values, clues], axis=-1))
        logits = ops.cast(self.weights_of_heads(hidden), "float32") - 1e9 * (1.0 - mask)[..., None]
        known = ops.max(ops.pad(mask, [[0, 0], [0, 1]]), axis=1)[:, None]
        # A column of padding keeps the softmax defined for histories of length zero.
        logits = ops.pad(logits, [[0, 0], [0, 1], [0, 0]], constant_values=-1e9)
        values = ops.pad(values, [[0, 0], [0, 1], [0, 0]])
        weights = ops.softmax(logits, axis=1)
        means = ops.einsum("blh,bld->bhd", weights, values) * known[..., None]
        flat = ops.reshape(means, (-1, self.num_heads * self.dim))
        return ops.concatenate([flat, ops.log1p(ops.sum(mask, axis=1, keepdims=True))], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_items": self.num_items,
            "dim": self.dim,
            "num_heads": self.num_heads,
            "seed": self.seed,
        }
