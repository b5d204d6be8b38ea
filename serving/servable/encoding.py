"""Texts of a request become vectors: tokens, and the encoder or a table in its place."""

from __future__ import annotations

import tensorflow as tf

from models.query_table import QueryTable
from models.serving_encoder import ServingEncoder
from models.text_tokenizer import TextTokenizer

# oneDNN lays weights out in one way for few rows and in another for more. It keeps the layout it needed
# first, and would make the other one anew at every call.
_MIN_TOKENS = 8


class Encoding(tf.Module):
    """Encodes texts.

    Args:
        tokenizer: The encoder's own.
        encoder: The encoder as it is served.
    """

    def __init__(self, tokenizer: TextTokenizer, encoder: ServingEncoder) -> None:
        super().__init__(name="encoding")
        self._tokenizer, self._dim = tokenizer, encoder.dim
        # A function of its own: TensorFlow fuses the ops of a function that is called, but not those of a
        # branch. One graph of it serves all signatures.
        signature = [tf.TensorSpec([None, None], tf.int32)]
        self._encoder = tf.function(encoder, input_signature=signature, autograph=False)

    def __call__(self, text: tf.Tensor, *, length: int) -> tf.Tensor:
        """Vectors of items' texts, string ``[batch]``, zeros for an empty one: float32 ``[batch, text_dim]``.

        Args:
            text: The texts.
            length: Tokens kept of each.
        """
        with tf.name_scope("tokenise"):
            stripped = tf.strings.strip(text)
            tokens = self._tokenizer(stripped, length=length)
        return self._vectors(tokens, tf.strings.length(stripped) > 0, length, None)

    def queries(self, text: tf.Tensor, *, length: int, table: QueryTable | None = None) -> tf.Tensor:
        """Vectors of queries, likewise.

        Args:
            text: The queries.
            length: Tokens kept of each.
            table: What is looked up in place of the encoder where it knows all tokens of a query; what no row
                needs is not computed.
        """
        with tf.name_scope("tokenise"):
            stripped = tf.strings.strip(text)
            tokens = self._tokenizer.queries(stripped, length=length)
        return self._vectors(tokens, tf.strings.length(stripped) > 0, length, table)

    def _vectors(
        self, tokens: tf.Tensor, has_text: tf.Tensor, length: int, table: QueryTable | None
    ) -> tf.Tensor:
        # Only as long as the longest text of the batch: padding costs as much as words.
        longest = tf.reduce_max(tf.pad(tf.reduce_sum(tf.cast(tokens != 0, tf.int32), axis=1), [[0, 1]]))
        longest = tf.maximum(longest, min(_MIN_TOKENS, length))
        is_known = table.knows(tokens) if table else tf.zeros_like(has_text)

        def encode() -> tf.Tensor:
            return self._encoder(tokens[:, :longest])

        def nothing() -> tf.Tensor:
            return tf.zeros([tf.shape(tokens)[0], self._dim])

        with tf.name_scope("encode"):
            vectors = tf.cond(tf.reduce_any(has_text & ~is_known), encode, nothing)
            if table:
                vectors = tf.where(is_known[:, None], table(tokens), vectors)
            return vectors * tf.cast(has_text, tf.float32)[:, None]
