"""BM25 as Lucene computes it, as posting lists with 8-bit weights in a graph."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from scipy import sparse

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
    """

    def __init__(self, weights: sparse.csc_matrix) -> None:
        super().__init__(name="postings")
        self.num_items = weights.shape[0]
        # Variables, as all that grows with the catalogue: the graph optimiser copies constants many times.
        self._starts = tf.Variable(weights.indptr.astype(np.int32), trainable=False)
        self._items = tf.Variable(weights.indices.astype(np.int32), trainable=False)
        self._scale = float(weights.data.max(initial=0.0)) / _MOST or 1.0
        small = np.clip(np.rint(weights.data / self._scale), 1, _MOST).astype(np.uint8)
        self._weights = tf.Variable(small, trainable=False)

    def __call__(self, terms: tf.Tensor, rows: tf.Tensor, factors: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
        """The sum of each item's weights: float32 ``[batch, num_items]``.

        Args:
            terms: int32 ``[n]``, each at least 0.
            rows: int64 ``[n]``, which query of the batch each term is of.
            factors: float32 ``[n]``, what each term counts.
            batch: int32 ``[]``.
        """
        positions = tf.ragged.range(tf.gather(self._starts, terms), tf.gather(self._starts, terms + 1))
        owner = positions.value_rowids()
        positions = positions.flat_values
        weights = tf.cast(tf.gather(self._weights, positions), tf.float32) * self._scale
        places = tf.gather(tf.cast(rows, tf.int32), owner) * self.num_items + tf.gather(
            self._items, positions
        )
        sums = tf.math.unsorted_segment_sum(
            weights * tf.gather(factors, owner), places, batch * self.num_items
        )
        return tf.reshape(sums, [batch, self.num_items])
