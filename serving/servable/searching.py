"""Search in the graph: what words and meaning say of each item of the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.inverted_lists import InvertedLists
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
        scores: float32 ``[batch, num_items]``, or ``[batch, n]`` of a few items.
        parts: The same by the channel's name, which sum to the scores.
        rows: int32 ``[batch, n]``, which items these are, -1 for none; ``None`` for the whole catalogue.
    """

    scores: tf.Tensor
    parts: dict[str, tf.Tensor]
    rows: tf.Tensor | None = None

    @property
    def is_item(self) -> tf.Tensor:
        """Which of a few items there are: bool ``[batch, n]``."""
        assert self.rows is not None
        return self.rows >= 0


class Searching(tf.Module):
    """Search by words and by meaning.

    The score of an item is the cosine of its text and the query, and what the words say on the same scale
    (`LexicalScores`). Nothing is normalised per query. Judgments change nothing unless `weigh` is given
    weights that were learnt from them.

    Args:
        lexical: The words of the catalogue.
        text_vectors: float32 ``[num_items, text_dim]`` of unit length, of the encoder that encodes queries.
        suggesting: Completes a query while it is typed; ``None`` completes nothing.

    Attributes:
        text_vectors: The matrix; ``None`` once `look_into` is called.
        lists: What finds the nearest texts without a look at all; ``None`` before that.
    """

    def __init__(
        self, lexical: LexicalIndex, text_vectors: np.ndarray, suggesting: Suggesting | None = None
    ) -> None:
        super().__init__(name="searching")
        self._lexical = lexical
        self.suggesting = suggesting or Suggesting({}, (), {})
        # A variable, as all that grows with the catalogue: the graph optimiser copies constants many times.
        self.text_vectors: tf.Variable | None = tf.Variable(text_vectors, trainable=False)
        self.lists: InvertedLists | None = None
        self._weights = np.ones(len(PARTS), np.float32)

    def weigh(self, weights: np.ndarray) -> None:
        """Multiplies each part of all later scores by its weight, float32 ``[len(PARTS)]``."""
        self._weights = weights

    def by_meaning_of(self, text_vectors: np.ndarray) -> Searching:
        """The same search by other vectors of the items, float32 ``[num_items, text_dim]`` of unit length."""
        return Searching(self._lexical, text_vectors, self.suggesting)

    def look_into(self, lists: InvertedLists) -> None:
        """Has `near` find items by lists of the same vectors, which take the place of the plain matrix."""
        self.lists, self.text_vectors = lists, None

    def __call__(self, queries: tf.Tensor, vectors: tf.Tensor) -> Found:
        """What is said of each item.

        Args:
            queries: string ``[batch]``.
            vectors: float32 ``[batch, text_dim]``, the queries encoded, of unit length.
        """
        words = self.words(queries)
        with tf.name_scope("meaning"):
            if self.lists is None:
                meaning = tf.matmul(vectors, self.text_vectors, transpose_b=True)
            else:
                meaning = self.lists.cosines(vectors)
        said = self._weighted({MEANING: meaning}) | words
        parts = {name: tf.broadcast_to(said[name], tf.shape(meaning)) for name in PARTS}
        return Found(tf.add_n([parts[name] for name in PARTS]), parts)

    def words(self, queries: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the words alone say: float32 ``[batch, num_items]`` by part, ``[batch, 1]`` for nothing."""
        with tf.name_scope("words"):
            return self._weighted(self._lexical(queries).parts())

    def near(
        self,
        words: dict[str, tf.Tensor],
        vectors: tf.Tensor,
        within: Callable[[tf.Tensor], tf.Tensor],
        *,
        is_narrow: tf.Tensor,
        further: tf.Tensor,
    ) -> Found:
        """What is said of the items that the lists, the words or the caller name.

        Args:
            words: Of `words`.
            vectors: float32 ``[batch, text_dim]``, the queries encoded, of unit length.
            within: Puts -inf in float32 ``[batch, num_items]`` where an item must not be returned.
            is_narrow: bool ``[batch]``, whether that may be most of the catalogue.
            further: int32 ``[batch, n]``, rows that are looked at besides; -1 for none.
        """
        assert self.lists is not None
        with tf.name_scope("words"):
            said = words[WORDS]
            for name in (GRAMS, NEGATION):
                said = _added(said, words[name])
        with tf.name_scope("rules"):
            said = within(said)
        with tf.name_scope("meaning"):
            vectors_weighed = self._weighted({MEANING: vectors})[MEANING]
            rows, meaning = self.lists(vectors_weighed, said, is_narrow=is_narrow, further=further)
        return self._summed(words, meaning, rows)

    def of_rows(self, words: dict[str, tf.Tensor], vectors: tf.Tensor, rows: tf.Tensor) -> Found:
        """What is said of int32 ``[batch, n]`` items, where -1 stands for the first; the rest as `near`."""
        assert self.lists is not None
        with tf.name_scope("meaning"):
            said = self._weighted({MEANING: self.lists.cosines_of(vectors, tf.maximum(rows, 0))})
        return self._summed(words, said[MEANING], rows)

    def _summed(self, words: dict[str, tf.Tensor], meaning: tf.Tensor, rows: tf.Tensor) -> Found:
        said = {MEANING: meaning}
        with tf.name_scope("words"):
            for name, values in words.items():
                here = tf.clip_by_value(rows, 0, tf.shape(values)[1] - 1)
                said[name] = tf.gather(values, here, batch_dims=1)
        return Found(tf.add_n([said[name] for name in PARTS]), said, rows)

    def _weighted(self, parts: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        weights = dict(zip(PARTS, self._weights.tolist(), strict=True))
        return {name: said if weights[name] == 1.0 else weights[name] * said for name, said in parts.items()}

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


def _added(scores: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    """The sum, which is not computed where the part is ``[batch, 1]`` for nothing."""
    if part.shape[1] == 1:
        return scores
    return tf.cond(tf.shape(part)[1] == 1, lambda: scores, lambda: scores + part)
