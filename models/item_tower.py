"""The item tower: what an item is, as one vector."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from models import replicas


class ItemTower(keras.layers.Layer):
    """Text, id, categories and numbers of items become vectors to be matched by dot product.

    A vector has three parts, side by side: a *text* part, in the encoder's own space, so that a query finds
    an item it was never trained on; a *behaviour* part, learnt from who chose what; and a *popularity* term.

    Args:
        num_items: Size of the catalogue.
        text_dim: Width of the encoder's vectors.
        behaviour_dim: Width of the behaviour part.
        category_sizes: Size of each categorical vocabulary.
        id_dropout: Share of items whose id is hidden in training, so that the text alone must do.

    Call arguments:
        rows: int32 ``[batch]``, item rows; ``None`` for items the model has not seen, which have no id.
        text_vectors: float32 ``[batch, text_dim]`` of unit length.
        categories: int32 ``[batch, num_categorical, num_values]``, -1 where an item has fewer values, one at
            least. Of several the mean counts.
        numbers: float32 ``[batch, num_numbers]``.

    Returns:
        float32 ``[batch, text_dim + behaviour_dim + 1]``.
    """

    def __init__(
        self,
        num_items: int,
        *,
        text_dim: int,
        behaviour_dim: int,
        category_sizes: tuple[int, ...] = (),
        id_dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_items, self.text_dim, self.behaviour_dim = num_items, text_dim, behaviour_dim
        self.category_sizes = tuple(category_sizes)
        self.id_dropout, self.seed = id_dropout, seed
        self._seed = keras.random.SeedGenerator(seed, name="item_tower_seed")
        small = keras.initializers.RandomNormal(stddev=0.01, seed=seed)
        self.id_embedding = keras.layers.Embedding(
            num_items, behaviour_dim, embeddings_initializer=small, name="id_embedding"
        )
        self.popularity = keras.layers.Embedding(
            num_items, 1, embeddings_initializer="zeros", name="popularity"
        )
        self.category_embeddings = [
            keras.layers.Embedding(
                size, behaviour_dim, embeddings_initializer=small, name=f"category_embedding_{column}"
            )
            for column, size in enumerate(category_sizes)
        ]
        orthogonal = keras.initializers.Orthogonal(seed=seed + 1)
        self.text_projection = keras.layers.Dense(
            behaviour_dim, use_bias=False, kernel_initializer=orthogonal, name="text_projection"
        )
        self.number_projection = keras.layers.Dense(
            behaviour_dim, kernel_initializer="zeros", name="number_projection"
        )
        # Starts as the identity: before any training, search is the encoder as it came.
        self.text_hidden = keras.layers.Dense(128, activation="gelu", name="text_hidden")
        self.text_residual = keras.layers.Dense(text_dim, kernel_initializer="zeros", name="text_residual")

    def set_projection(self, text_vectors: np.ndarray) -> None:
        """Starts the behaviour part from the principal components of the catalogue's texts.

        Args:
            text_vectors: float32 ``[num_items, text_dim]``.
        """
        width = self.text_projection.units
        if not self.text_projection.built:
            self.text_projection.build((None, text_vectors.shape[1]))
        sample = text_vectors[:: max(1, len(text_vectors) // 20_000)]
        components = np.linalg.svd(sample - sample.mean(0), full_matrices=False)[2][:width].T
        kernel = self.text_projection.kernel.numpy().copy()
        kernel[:, : components.shape[1]] = components
        self.text_projection.kernel.assign(kernel)

    def build(self, *shapes: Any, **named: Any) -> None:
        """Creates the tables; the rest is built when first called."""
        for embedding in [self.id_embedding, self.popularity, *self.category_embeddings]:
            embedding.build((None,))
        self.built = True

    def call(
        self,
        rows: tf.Tensor | None,
        text_vectors: tf.Tensor,
        categories: tf.Tensor,
        numbers: tf.Tensor,
        training: bool = False,
    ) -> tf.Tensor:
        behaviour = ops.cast(self.text_projection(text_vectors), "float32")
        popularity = ops.zeros_like(text_vectors[:, :1])
        if rows is not None:
            popularity = self.popularity(rows)
            of_id = self.id_embedding(rows)
            if training and self.id_dropout:
                drawn = replicas.uniform(ops.shape(popularity), self._seed)
                of_id = of_id * ops.cast(drawn >= self.id_dropout, "float32")
            behaviour = behaviour + of_id
        for column, embedding in enumerate(self.category_embeddings):
            behaviour = behaviour + _mean(embedding, categories[:, column])
        if numbers.shape[-1]:
            behaviour = behaviour + ops.cast(self.number_projection(numbers), "float32")
        behaviour = ops.normalize(behaviour, axis=-1)
        residual = self.text_residual(self.text_hidden(text_vectors))
        text = ops.normalize(text_vectors + ops.cast(residual, "float32"), axis=-1)
        return ops.concatenate([text, behaviour, popularity], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_items": self.num_items,
            "text_dim": self.text_dim,
            "behaviour_dim": self.behaviour_dim,
            "category_sizes": self.category_sizes,
            "id_dropout": self.id_dropout,
            "seed": self.seed,
        }


def _mean(embedding: keras.layers.Embedding, values: tf.Tensor) -> tf.Tensor:
    """The mean vector of each row's values: float32 ``[batch, dim]``.

    Args:
        embedding: Of the values.
        values: int32 ``[batch, num_values]``, -1 for none.
    """
    if values.shape[1] == 1:
        return embedding(values[:, 0])
    where = tf.where(values >= 0)
    # Only of what is there, as most items have fewer values than the one that has most.
    vectors = embedding(tf.gather_nd(values, where))
    return tf.math.unsorted_segment_mean(vectors, where[:, 0], tf.shape(values)[0])
