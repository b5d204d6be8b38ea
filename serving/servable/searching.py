"""Search in the graph: what words and meaning say of each item of the catalogue."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.lexical.index import LexicalIndex
from serving.servable.suggesting import Suggesting

# What `Found.parts` says of, by name.
MEANING, WORDS, GRAMS, NEGATION = "dense_text", "words", "grams", "negation"
# Why an item is in an answer: it has words of the query.
BECAUSE_WORDS = "words"
PARTS = (MEANING, WORDS, GRAMS, NEGATION)


def is_blank(texts: tf.Tensor) -> tf.Tensor:
    """Which of string ``[batch]`` texts have nothing that a person sees: bool ``[batch]``."""
    return tf.strings.regex_full_match(texts, r"[\s\p{Z}\p{C}]*")


class Found(NamedTuple):
    """What is said of each item.

    Attributes:
        scores: float32 ``[batch, num_items]``.
        parts: The same by the channel's name, which sum to the scores.
    """

    scores: tf.Tensor
    parts: dict[str, tf.Tensor]


class Searching(tf.Module):
    """Search by words and by meaning.

    The score of an item is the cosine of its text and the query, and what the words say on the same scale
    (`LexicalScores`). Nothing is normalised per query. Judgments change nothing unless `weigh` is given
    weights that were learnt from them.

    Args:
        lexical: The words of the catalogue.
        text_vectors: float32 ``[num_items, text_dim]`` of unit length, of the encoder that encodes queries.
        suggesting: Completes a query while it is typed; ``None`` completes nothing.
    """

    def __init__(
        self, lexical: LexicalIndex, text_vectors: np.ndarray, suggesting: Suggesting | None = None
    ) -> None:
        super().__init__(name="searching")
        self._lexical = lexical
        self.suggesting = suggesting or Suggesting({}, (), {})
        # A variable, as all that grows with the catalogue: the graph optimiser copies constants many times.
        self._text_vectors = tf.Variable(text_vectors, trainable=False)
        self._weights = np.ones(len(PARTS), np.float32)

    def weigh(self, weights: np.ndarray) -> None:
        """Multiplies each part of all later scores by its weight, float32 ``[len(PARTS)]``."""
        self._weights = weights

    def by_meaning_of(self, text_vectors: np.ndarray) -> Searching:
        """The same search by other vectors of the items, float32 ``[num_items, text_dim]`` of unit length."""
        return Searching(self._lexical, text_vectors, self.suggesting)

    def __call__(self, queries: tf.Tensor, vectors: tf.Tensor) -> Found:
        """What is said of each item.

        Args:
            queries: string ``[batch]``.
            vectors: float32 ``[batch, text_dim]``, the queries encoded, of unit length.
        """
        with tf.name_scope("words"):
            words = self._lexical(queries)
        with tf.name_scope("meaning"):
            meaning = tf.matmul(vectors, self._text_vectors, transpose_b=True)
        parts = {MEANING: meaning} | words.parts()
        for name, weight in zip(PARTS, self._weights, strict=True):
            parts[name] = parts[name] if weight == 1.0 else float(weight) * parts[name]
        return Found(tf.add_n([parts[name] for name in PARTS]), parts)

    def matches(self, queries: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """The words of queries that items have, as `LexicalIndex.matches` says them."""
        return self._lexical.matches(queries, rows)

    def corrected(self, queries: tf.Tensor, is_wanted: tf.Tensor) -> tf.Tensor:
        """The queries as they are searched for: string ``[batch]``.

        Args:
            queries: string ``[batch]``, as typed.
            is_wanted: bool ``[batch]``, whether unknown words are corrected.
        """
        with tf.name_scope("spelling"):
            return tf.where(is_wanted, self._lexical.spelling(queries), queries)
