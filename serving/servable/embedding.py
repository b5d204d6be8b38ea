"""Embeddings: the towers' vectors of a query with its asker, and of an item, known or new."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.retriever import Retriever
from models.trained import TrainedModel
from serving.servable.asking import Asker, Asking
from serving.servable.encoding import Encoding


class Embedding(tf.Module):
    """Gives vectors whose product is the retrieval model's score.

    Args:
        model: The trained model.
        retriever: The vectors of the catalogue's items.
        asking: The askers' vectors.
        encode: Encodes texts.
        max_query_tokens: Length of a tokenised query.
        max_text_tokens: Length of a tokenised item text.
    """

    def __init__(
        self,
        model: TrainedModel,
        retriever: Retriever,
        asking: Asking,
        encode: Encoding,
        *,
        max_query_tokens: int,
        max_text_tokens: int,
    ) -> None:
        super().__init__(name="embedding")
        # A plain object, which SavedModel does not look into: Keras would add signatures of its own.
        self._model = model
        self._retriever, self._asking, self._encode = retriever, asking, encode
        self._max_query_tokens, self._max_text_tokens = max_query_tokens, max_text_tokens

    def of_query(self, query: tf.Tensor, asker: Asker) -> tf.Tensor:
        """The vectors of string ``[batch]`` queries of somebody: float32 ``[batch, dim]``."""
        return self._asking.vectors(self._encode.queries(query, length=self._max_query_tokens), asker)

    def of_item(self, rows: tf.Tensor, text: tf.Tensor) -> tf.Tensor:
        """The vectors of items: float32 ``[batch, dim]``.

        Args:
            rows: int32 ``[batch]``, -1 for an item that the catalogue does not have.
            text: string ``[batch]``, the text of a new item, which counts if it is not empty.
        """
        known = tf.gather(self._retriever.item_vectors, tf.maximum(rows, 0))
        is_stored = (rows >= 0) & (tf.strings.length(text) == 0)
        return tf.where(is_stored[:, None], known, self._of_new(text))

    def _of_new(self, text: tf.Tensor) -> tf.Tensor:
        towers, batch = self._model.two_tower, tf.shape(text)[0]
        # Of an item the model has not seen, the text is all there is: its categories are out of vocabulary,
        # and its numbers are missing.
        categories = [tf.fill([batch, 1], e.input_dim - 1) for e in towers.item_tower.category_embeddings]
        numbers = np.tile(np.array([0.0, 1.0], np.float32), towers.num_item_numbers // 2)
        vectors: tf.Tensor = towers.item_tower(
            None,
            self._encode(text, length=self._max_text_tokens),
            tf.stack(categories, 1) if categories else tf.zeros([batch, 0, 1], tf.int32),
            tf.broadcast_to(numbers, [batch, len(numbers)]),
        )
        return vectors
