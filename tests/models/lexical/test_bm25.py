"""BM25 held against bm25s, the field's own library, over texts drawn at random."""

from __future__ import annotations

import bm25s
import numpy as np
import tensorflow as tf
from scipy import sparse

from models.lexical.bm25 import K1, B, Postings, bm25_weights


def _counts(num_items: int, num_terms: int) -> sparse.csr_matrix:
    rng = np.random.default_rng(3)
    counts = rng.poisson(0.3, (num_items, num_terms)) * rng.integers(1, 4, (num_items, num_terms))
    return sparse.csr_matrix(counts.astype(np.float32))


def test_weights_are_those_of_lucene() -> None:
    counts = _counts(60, 25)
    documents = [np.repeat(np.arange(25), row.astype(int)).tolist() for row in counts.toarray()]
    peer = bm25s.BM25(method="lucene", k1=K1, b=B)
    peer.index((documents, {str(term): term for term in range(25)}), show_progress=False)
    expected = [peer.get_scores([str(term)]) for term in range(25)]

    weights = bm25_weights(counts).toarray()

    np.testing.assert_allclose(weights.T, np.stack(expected), rtol=1e-4, atol=1e-6)


def test_postings_add_up_what_the_terms_of_each_query_say() -> None:
    weights = bm25_weights(_counts(60, 25))
    postings = Postings(weights)
    terms, rows, factors = [3, 7, 3, 0], [0, 0, 0, 2], [1.0, 0.5, 1.0, 2.0]

    scores = postings(
        tf.constant(terms), tf.constant(rows, tf.int32), tf.constant(3), factors=tf.constant(factors)
    ).numpy()

    dense = weights.toarray()
    expected = np.stack([2 * dense[:, 3] + 0.5 * dense[:, 7], np.zeros(60), 2 * dense[:, 0]])
    # Each weight has eight bits of the largest.
    np.testing.assert_allclose(scores, expected, atol=2 * dense.max() / 255)
    assert ((scores > 0) == (expected > 0)).all()


def test_nothing_indexed_says_nothing() -> None:
    postings = Postings(bm25_weights(sparse.csr_matrix((4, 0), dtype=np.float32)))
    none = tf.zeros([0], tf.int32)

    scores = postings(none, none, tf.constant(2))

    assert scores.numpy().tolist() == [[0.0] * 4] * 2
