"""The lexical channel: what the words of a query say of each item of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import tensorflow as tf
from scipy import sparse

from models.lexical.bm25 import Postings, bm25_weights, idf
from models.lexical.negation import lacking, negated
from models.lexical.spelling import Spelling
from models.lexical.word_forms import WordForms
from models.lexical.words import MAX_QUERY_WORDS, Pieces, grams, split_words, words_of_catalogue

# How often a word of the first column, the title, counts.
_FIRST_COLUMN = 4
# Grams that more of the items have tell little, and their lists are the longest.
_MAX_GRAM_SHARE = 0.1
# In a larger catalogue the grams' lists would be most of the memory and of the time.
_MAX_ITEMS_WITH_GRAMS = 500_000
# BM25 is a sum over words and a cosine is at most 1: this divides the first to be of one scale. It is not
# normalised per query, so that a query of one common word is left to its meaning and a long one to its words.
_SCALE = 12.0
_GRAMS = 0.2
# What a title that has what is not wanted loses, and what an item that says it lacks it gains.
_PENALTY = 0.3
_BONUS = 0.1
_MAX_MARKED_COLUMNS = 40


class LexicalScores(NamedTuple):
    """What words say of each item.

    Each is float32 ``[batch, num_items]``, or ``[batch, 1]`` where it says nothing of any item: what is as
    large as the catalogue is made only where it is needed.

    Attributes:
        words: BM25 over stems.
        grams: BM25 over character 4-grams.
        has_negated: The share of the query's negated words, by their idf, that the title has.
        lacks_negated: 1 where the item says that it lacks one of them, else 0.
    """

    words: tf.Tensor
    grams: tf.Tensor
    has_negated: tf.Tensor
    lacks_negated: tf.Tensor

    def parts(self) -> dict[str, tf.Tensor]:
        """Scores on the scale of a cosine, which add up: float32 by name, of the same shapes."""
        lacks = self.lacks_negated
        return {
            "words": self.words / _SCALE,
            "grams": _GRAMS * self.grams / _SCALE,
            "negation": _BONUS * lacks - _PENALTY * self.has_negated * (1.0 - lacks),
        }


class LexicalIndex(tf.Module):
    """The words of a catalogue.

    Args:
        columns: The texts of the items by the column's name, each ``[num_items]``, the title first.
        language: One of `dataset.contract.LANGUAGES`.
        other_words: Words that `spelling` leaves alone though the catalogue does not have them.

    Attributes:
        spelling: Corrects queries by the catalogue's words.

    Example:
        >>> index = LexicalIndex({"title": ["red mug", "blue mug", "candle"]})
        >>> index.bm25(["mugs in red"]).argmax()
        np.int64(0)
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[str]],
        language: str = "english",
        other_words: Sequence[str] = (),
    ) -> None:
        super().__init__(name="lexical")
        self._language = language
        words, of_column = _count_words(columns)
        title = of_column[0]
        counts = sum(of_column[1:], start=_FIRST_COLUMN * title).tocsr()
        frequency = np.bincount(counts.indices, minlength=len(words))
        self._counted = np.array(words, object), frequency
        self._forms = WordForms(words, language)
        self.spelling = Spelling(words, frequency, self._forms, other_words)
        to_term = _indicator(self._forms.terms, self._forms.num_terms)
        terms = counts @ to_term
        self._columns = list(columns)
        self._postings = Postings(bm25_weights(terms), _first_columns(of_column, to_term))
        self._idf = tf.Variable(np.append(idf(terms), np.float32(0.0)), trainable=False)
        in_title = (title @ to_term).tocsc()
        in_title.data[:] = 1.0
        self._in_title = Postings(in_title)
        self._lacking = Postings(self._lacking_items(columns, len(words)))
        self._grams = self._gram_rows = None
        if counts.shape[0] <= _MAX_ITEMS_WITH_GRAMS:
            self._gram_rows, weights = _gram_index(words, self._forms.terms, counts)
            self._grams = Postings(weights)

    @property
    def word_counts(self) -> dict[str, int]:
        """In how many items each word of letters is."""
        words = zip(*self._counted, strict=True)
        return {word.decode(): int(count) for word, count in words if word.decode().isalpha()}

    def bm25(self, queries: Sequence[str]) -> np.ndarray:
        """BM25 over stems alone: float32 ``[num_queries, num_items]``."""
        return self(tf.constant(list(queries), tf.string)).words.numpy()

    def __call__(self, queries: tf.Tensor) -> LexicalScores:
        """What string ``[batch]`` queries say of each item."""
        batch = tf.size(queries)
        words = _query_words(queries)
        is_negated, is_negator = negated(words, batch, self._language)
        is_wanted = ~(is_negator | is_negated)
        by_words = self._postings(self._terms(words.flat, is_wanted), words.rows, batch)
        by_grams = self._by_grams(words, is_wanted, batch)
        has, lacks = tf.cond(
            tf.reduce_any(is_negated),
            lambda: self._unwanted(self._terms(words.flat, is_negated), words.rows, batch),
            lambda: (tf.zeros([batch, 1]), tf.zeros([batch, 1])),
        )
        return LexicalScores(by_words, by_grams, has, lacks)

    def matches(self, queries: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Which words of string ``[batch]`` queries items have: string ``[batch, k]``.

        Args:
            queries: As searched for.
            items: int32 ``[batch, k]``, distinct in a row; -1 for none.

        Returns:
            A line ``word=column`` for each, with the first column that has the word; "" for none.
        """
        words = _query_words(queries)
        is_negated, is_negator = negated(words, tf.size(queries), self._language)
        terms = self._terms(words.flat, ~(is_negator | is_negated))
        marks = self._postings.marks_of(terms, words.rows, items)
        where = tf.cast(tf.where(marks > 0), tf.int32)
        word, place = where[:, 0], where[:, 1]
        lines = tf.strings.join(
            [
                tf.gather(words.flat, word),
                tf.gather(["", *self._columns][: _MAX_MARKED_COLUMNS + 2], tf.gather_nd(marks, where)),
            ],
            separator="=",
        )
        batch, k = tf.unstack(tf.shape(items))
        cell = tf.gather(words.rows, word) * k + place
        joined = tf.strings.unsorted_segment_join(lines, cell, batch * k, separator="\n")
        return tf.reshape(joined, [batch, k])

    def _terms(self, words: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """The terms of words, `num_terms` for those that are unknown or do not count: int32 ``[n]``."""
        terms = self._forms(words)
        return tf.where(counts & (terms >= 0), terms, self._postings.num_terms)

    def _by_grams(self, words: Pieces, counts: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
        if self._grams is None or self._gram_rows is None:
            return tf.zeros([batch, 1])
        names, owner = grams(words.flat)
        counts &= ~self._forms.is_stop_word(words.flat)
        return self._grams(
            tf.where(tf.gather(counts, owner), self._gram_rows.lookup(names), self._grams.num_terms),
            tf.gather(words.rows, owner),
            batch,
        )

    def _unwanted(self, terms: tf.Tensor, rows: tf.Tensor, batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How much of the negated words each title has, and whether the item says it lacks one."""
        weights = tf.gather(self._idf, terms)
        most = tf.math.unsorted_segment_sum(weights, rows, batch)
        has = self._in_title(terms, rows, batch, factors=weights) / tf.maximum(most, 1e-9)[:, None]
        lacks = self._lacking(terms, rows, batch)
        return has, tf.cast(lacks > 0, tf.float32)

    def _lacking_items(self, columns: Mapping[str, Sequence[str]], num_words: int) -> sparse.csc_matrix:
        """1 where an item says that it lacks a term: CSC ``[num_items, num_terms]``."""
        found = [pair for texts in columns.values() for pair in lacking(texts, self._language)]
        items = np.array([item for item, _ in found], np.int64)
        terms = self._forms(tf.constant([word for _, word in found], tf.string)).numpy()
        num_items = len(next(iter(columns.values())))
        is_known = terms >= 0
        pairs = sparse.csc_matrix(
            (np.ones(is_known.sum(), np.float32), (items[is_known], terms[is_known])),
            shape=(num_items, self._forms.num_terms),
        )
        pairs.sum_duplicates()
        pairs.data[:] = 1.0
        return pairs


def _query_words(queries: tf.Tensor) -> Pieces:
    """The words of queries that count, at most `MAX_QUERY_WORDS` of each."""
    words = split_words(tf.strings.regex_replace(queries, r"(?i)\bw/o\b", "without"))
    return words.where(words.places < MAX_QUERY_WORDS)


def _first_columns(of_column: Sequence[sparse.csr_matrix], to_term: sparse.csr_matrix) -> sparse.csc_matrix:
    """The number of the first column, from 1, in which an item has a term: CSC ``[num_items, num_terms]``."""
    found = sparse.csr_matrix((of_column[0].shape[0], to_term.shape[1]), dtype=np.float64)
    # A power of two for each column: of the sum the lowest counts. Columns past the last bit share it.
    for number, counts in enumerate(of_column):
        has = (counts @ to_term).astype(bool).astype(np.float64)
        found = found + has * 2.0 ** min(number, _MAX_MARKED_COLUMNS)
    bits = found.tocsc()
    bits.sort_indices()
    lowest = bits.data.astype(np.int64)
    bits.data = 1.0 + np.log2(lowest & -lowest)
    return bits


def _count_words(columns: Mapping[str, Sequence[str]]) -> tuple[list[bytes], list[sparse.csr_matrix]]:
    """The catalogue's words, and how often the items have them: CSR ``[num_items, num_words]`` by column."""
    found = [words_of_catalogue(texts) for texts in columns.values()]
    arrays = pa.chunked_array([array for array, _ in found]).unify_dictionaries()
    words = arrays.chunk(0).dictionary.to_pylist()
    matrices = []
    for chunk, (_, lengths) in zip(arrays.chunks, found, strict=True):
        starts = np.concatenate([[0], np.cumsum(lengths.numpy())])
        codes = np.array(chunk.indices, np.int32)
        matrix = sparse.csr_matrix(
            (np.ones(len(codes), np.float32), codes, starts), shape=(len(lengths), len(words))
        )
        matrix.sum_duplicates()
        matrices.append(matrix)
    return words, matrices


def _indicator(terms: np.ndarray, num_terms: int) -> sparse.csr_matrix:
    """1 for the term of each word: CSR ``[num_words, num_terms]``."""
    words = np.flatnonzero(terms >= 0)
    ones = np.ones(len(words), np.float32)
    return sparse.csr_matrix((ones, (words, terms[words])), shape=(len(terms), num_terms))


def _gram_index(
    words: list[bytes], terms: np.ndarray, counts: sparse.csr_matrix
) -> tuple[tf.lookup.StaticHashTable, sparse.csc_matrix]:
    """The row of each gram that is not too common, and its weights: CSC ``[num_items, num_grams]``."""
    kept = np.flatnonzero(terms >= 0)
    found, owner = grams(tf.constant([words[row] for row in kept], tf.string))
    names, codes = np.unique(found.numpy().astype(object), return_inverse=True)
    pairs = sparse.csr_matrix(
        (np.ones(len(codes), np.float32), (kept[owner.numpy()], codes)),
        shape=(len(words), len(names)),
    )
    of_items = (counts @ pairs).tocsr()
    weights = bm25_weights(of_items)
    frequency = np.diff(weights.indptr)
    rare = np.flatnonzero(frequency <= max(_MAX_GRAM_SHARE * counts.shape[0], 1))
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant([*names[rare], b""]), tf.constant(range(len(rare) + 1), tf.int32)
        ),
        len(rare),
    )
    return table, weights[:, rare]
