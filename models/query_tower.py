"""The query tower: who asks, what they did and what they typed, as one vector."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from models import replicas
from models.history_encoder import HistoryEncoder


class QueryTower(keras.layers.Layer):
    """Query text, history and user become a vector in the item tower's space; every part may be absent.

    The score of an item is the sum of what each part says: ``text scale * cos(query, item text) + behaviour
    scale * cos(user and history, item) + popularity gate * popularity``. Sums of logits multiply likelihoods,
    so a query and a history together ask for items that answer both.

    Args:
        num_items: Size of the catalogue.
        num_users: Size of the user vocabulary.
        text_dim: Width of the encoder's vectors.
        behaviour_dim: Width of the behaviour part.
        history_dim: Width of an item inside a history.
        history_heads: Attention heads over it.
        category_sizes: Sizes of the vocabularies of the users' categorical columns.
        user_dropout: Share of users whose id is hidden in training.
        history_dropout: Share of a history hidden in training.

    Call arguments:
        query_vectors: float32 ``[batch, text_dim]``; zeros for no query.
        history_values: float32 ``[batch, length, history_dim]``.
        history_counts: float32 ``[batch, length]``; 0 is padding.
        user_rows: int32 ``[batch]``; `num_users` for an unknown user.
        user_categories: int32 ``[batch, num_categorical]``.
        user_numbers: float32 ``[batch, num_numbers]``.

    Returns:
        float32 ``[batch, text_dim + behaviour_dim + 1]``.
    """

    def __init__(
        self,
        *,
        num_items: int,
        num_users: int,
        text_dim: int,
        behaviour_dim: int,
        history_dim: int,
        history_heads: int,
        category_sizes: tuple[int, ...] = (),
        user_dropout: float = 0.0,
        history_dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_items, self.num_users = num_items, num_users
        self.text_dim, self.behaviour_dim = text_dim, behaviour_dim
        self.history_dim, self.history_heads = history_dim, history_heads
        self.category_sizes = tuple(category_sizes)
        self.user_dropout, self.history_dropout = user_dropout, history_dropout
        self.seed = seed
        self._seed = keras.random.SeedGenerator(seed, name="query_tower_seed")
        small = keras.initializers.RandomNormal(stddev=0.01, seed=seed)
        self.history = HistoryEncoder(
            num_items, dim=history_dim, num_heads=history_heads, seed=seed, name="history"
        )
        self.user_embedding = keras.layers.Embedding(
            num_users + 1, behaviour_dim, embeddings_initializer=small, name="user_embedding"
        )
        self.category_embeddings = [
            keras.layers.Embedding(
                size, behaviour_dim, embeddings_initializer=small, name=f"category_embedding_{column}"
            )
            for column, size in enumerate(category_sizes)
        ]
        self.number_projection = keras.layers.Dense(
            behaviour_dim, use_bias=False, kernel_initializer="zeros", name="number_projection"
        )
        self.hidden = keras.layers.Dense(256, activation="gelu", name="hidden")
        self.behaviour = keras.layers.Dense(behaviour_dim, name="behaviour")
        self.text_hidden = keras.layers.Dense(128, activation="gelu", name="text_hidden")
        self.text_residual = keras.layers.Dense(
            text_dim, kernel_initializer="zeros", use_bias=False, name="text_residual"
        )

    def build(self, *shapes: Any, **named: Any) -> None:
        """Creates the tables, the scales and the gate; the rest is built when first called."""
        for embedding in [self.user_embedding, *self.category_embeddings]:
            embedding.build((None,))
        # exp(2.7) is a temperature of 1 / 15, where contrastive training of unit vectors usually settles.
        start = keras.initializers.Constant(2.7)
        self.log_text_scale = self.add_weight(shape=(), initializer=start, name="log_text_scale")
        self.log_behaviour_scale = self.add_weight(shape=(), initializer=start, name="log_behaviour_scale")
        self.query_popularity = self.add_weight(shape=(), initializer="zeros", name="query_popularity")
        self.built = True

    def call(
        self,
        query_vectors: tf.Tensor,
        history_values: tf.Tensor,
        history_counts: tf.Tensor,
        user_rows: tf.Tensor,
        user_categories: tf.Tensor,
        user_numbers: tf.Tensor,
        training: bool = False,
    ) -> tf.Tensor:
        if training:
            history_counts = history_counts * self._kept(ops.shape(history_counts), self.history_dropout)
            shown = self._kept(ops.shape(user_rows), self.user_dropout) > 0
            user_rows = ops.where(shown, user_rows, self.num_users)
        asked = ops.cast(ops.any(query_vectors != 0.0, axis=-1, keepdims=True), "float32")
        has_past = ops.cast(ops.any(history_counts > 0, axis=1), "float32")[:, None]
        known = ops.maximum(has_past, ops.cast(user_rows < self.num_users, "float32")[:, None])

        hidden = self.hidden(self.history(history_values, history_counts))
        behaviour = ops.cast(self.behaviour(hidden), "float32")
        behaviour = behaviour + self.user_embedding(user_rows)
        if user_numbers.shape[-1]:
            behaviour = behaviour + ops.cast(self.number_projection(user_numbers), "float32")
        for column, embedding in enumerate(self.category_embeddings):
            behaviour = behaviour + embedding(user_categories[:, column])
        behaviour = ops.exp(self.log_behaviour_scale) * ops.normalize(behaviour, axis=-1)
        # Nobody known asks with a text alone: then the text alone answers.
        behaviour = behaviour * ops.maximum(known, 1.0 - asked)

        residual = self.text_residual(self.text_hidden(query_vectors))
        text = ops.normalize(query_vectors + ops.cast(residual, "float32"), axis=-1)
        text = ops.exp(self.log_text_scale) * text * asked
        popularity = (1.0 - asked) + asked * self.query_popularity
        return ops.concatenate([text, behaviour, popularity], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_items": self.num_items,
            "num_users": self.num_users,
            "text_dim": self.text_dim,
            "behaviour_dim": self.behaviour_dim,
            "history_dim": self.history_dim,
            "history_heads": self.history_heads,
            "category_sizes": self.category_sizes,
            "user_dropout": self.user_dropout,
            "history_dropout": self.history_dropout,
            "seed": self.seed,
        }

    def _kept(self, shape: Any, dropout: float) -> tf.Tensor:
        return ops.cast(replicas.uniform(shape, self._seed) >= dropout, "float32")
