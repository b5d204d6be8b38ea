"""BM25 as Lucene computes it, as posting lists with 8-bit weights in a graph."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from scipy import sparse

from models.lexical.words import owners

K1 = 1.2
B = 0.75
_MOST = 255.0


def idf(counts: sparse.csr_matrix) -> np.ndarray:
    """The inverse document frequency of each term: float32 ``[num_terms]``.

    Args:
        counts: CSR ``[num_items, num_terms]``, each entry above 0.
    """
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.log1p((counts.shape[0] - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)


def bm25_weights(counts: sparse.csr_matrix) -> sparse.csc_matrix:
    """What one occurrence of a term in a query adds to the score of each item (Robertson & Zaragoza 2009).

    Args:
        counts: CSR ``[num_items, num_terms]``, how often each item has each term, each entry above 0.

    Returns:
        float32 CSC of the same shape.
    """
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    relative = lengths / max(lengths.mean(), 1e-9) if len(lengths) else lengths
    length_of_entry = np.repeat(relative, np.diff(counts.indptr))
    saturated = counts.data / (counts.data + K1 * (1.0 - B + B * length_of_entry))
    weights = (idf(counts)[counts.indices] * saturated).astype(np.float32)
    return sparse.csr_matrix((weights, counts.indices, counts.indptr), shape=counts.shape).tocsc()


class Postings(tf.Module):
    """The items of each term with their weights.

    Args:
        weights: float32 CSC ``[num_items, num_terms]``, each entry above 0.
        marks: A number from 1 to 255 for each entry, which `marks_of` gives back; CSC of the same entries.
    """

    def __init__(self, weights: sparse.csc_matrix, marks: sparse.csc_matrix | None = None) -> None:
        super().__init__(name="postings")
        self._marks = None if marks is None else tf.Variable(marks.data.astype(np.uint8), trainable=False)
        self.num_items = weights.shape[0]
        # Variables, as all that grows with the catalogue: the graph optimiser copies constants many times.
        # One more list, which is empty: that of a term there is not.
        starts = np.append(weights.indptr, weights.indptr[-1]).astype(np.int32)
        self._starts = tf.Variable(starts, trainable=False)
        self.num_terms = weights.shape[1]
        self._items = tf.Variable(weights.indices.astype(np.int32), trainable=False)
        self._scale = float(weights.data.max(initial=0.0)) / _MOST or 1.0
        small = np.clip(np.rint(weights.data / self._scale), 1, _MOST).astype(np.uint8)
        self._weights = tf.Variable(small, trainable=False)

    def __call__(
        self, terms: tf.Tensor, rows: tf.Tensor, batch: tf.Tensor, *, factors: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The sum of each item's weights: float32 ``[batch, num_items]``.

        Args:
            terms: int32 ``[n]``, `num_terms` for one there is not.
            rows: int32 ``[n]``, which query of the batch each term is of.
            batch: int32 ``[]``.
            factors: float32 ``[n]``, what each term counts; 1 for all if left out.
        """
        positions, owner = self._of_terms(terms)
        weights = tf.cast(tf.gather(self._weights, positions), tf.float32) * self._scale
        places = tf.gather(rows, owner) * self.num_items + tf.gather(self._items, positions)
        if factors is not None:
            weights *= tf.gather(factors, owner)
        sums = tf.math.unsorted_segment_sum(weights, places, batch * self.num_items)
        return tf.reshape(sums, [batch, self.num_items])

    def marks_of(self, terms: tf.Tensor, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """The marks of some items' entries, 0 where an item does not have the term: int32 ``[n, k]``.

        Args:
            terms: int32 ``[n]``, `num_terms` for one there is not.
            rows: int32 ``[n]``, which query of the batch each term is of.
            items: int32 ``[batch, k]``, distinct in a row; -1 for none.
        """
        assert self._marks is not None
        batch, k = tf.unstack(tf.shape(items))
        positions, owner = self._of_terms(terms)
        # The place of each item in its query's list, from 1; 0 for one that is not listed. No item is -1.
        here = tf.range(batch)[:, None] * (self.num_items + 1) + 1
        places = tf.scatter_nd(
            tf.reshape(here + items, [-1, 1]),
            tf.tile(tf.range(1, k + 1), [batch]),
            [batch * (self.num_items + 1)],
        )
        own = tf.gather(tf.reshape(here, [-1]), tf.gather(rows, owner)) + tf.gather(self._items, positions)
        cells = owner * (k + 1) + tf.gather(places, own)
        marks = tf.cast(tf.gather(self._marks, positions), tf.int32)
        num_terms = tf.size(terms)
        listed = tf.math.unsorted_segment_max(marks, cells, num_terms * (k + 1))
        return tf.maximum(tf.reshape(listed, [num_terms, k + 1])[:, 1:], 0)

    def _of_terms(self, terms: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The places of the terms' entries, and the number of the term that each is of."""
        # The raw op: the ragged tensor around it takes thirty ops more to say whose each place is.
        splits, places = tf.raw_ops.RaggedRange(
            starts=tf.gather(self._starts, terms),
            limits=tf.gather(self._starts, terms + 1),
            deltas=1,
            Tsplits=tf.int32,
        )
        return places, owners(splits, tf.size(places))
