"""Inverted lists of vectors: a search looks into those that are near the query, not at the whole catalogue.

The lists are the clusters of spherical k-means (Dhillon & Modha 2001), and the search is the inverted file
of Jégou, Douze & Schmid (2011), in core TensorFlow ops.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, Any]

_MAX_LISTS = 4096
_SAMPLE_PER_LIST = 64
_STEPS = 8
# Cosines held at a time.
_MAX_COSINES = 1 << 24


def fit_centroids(vectors: Array, *, num_lists: int | None = None, seed: int = 0) -> Array:
    """The centres of the lists: float32 ``[num_lists, dim]`` of unit length.

    Args:
        vectors: float32 ``[num_items, dim]`` of unit length. A sample of them is enough for the centres.
        num_lists: Twice the root of the number of items if left out, at most 4,096.
        seed: Of the sample and of the first centres.
    """
    num_items = len(vectors)
    num_lists = min(num_lists or min(max(round(2 * num_items**0.5), 1), _MAX_LISTS), num_items)
    rng = np.random.default_rng(seed)
    sample = vectors[np.sort(rng.permutation(num_items)[: num_lists * _SAMPLE_PER_LIST])]
    centroids = sample[rng.permutation(len(sample))[:num_lists]]
    for _ in range(_STEPS):
        lists = nearest_lists(sample, centroids)
        order = np.argsort(lists, kind="stable")
        sizes = np.bincount(lists, minlength=num_lists)
        is_used = sizes > 0
        sums = np.add.reduceat(sample[order], (np.cumsum(sizes) - sizes)[is_used])
        # A list that nothing is in keeps its centre.
        centroids[is_used] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centroids


def nearest_lists(vectors: Array, centroids: Array) -> Array:
    """The list of each vector, that of the nearest centre: int32 ``[num_items]``."""
    size = max(_MAX_COSINES // len(centroids), 1)
    starts = range(0, len(vectors), size)
    parts = [np.argmax(vectors[start : start + size] @ centroids.T, axis=1) for start in starts]
    return np.concatenate(parts).astype(np.int32)


class InvertedLists(tf.Module):
    """The items of a catalogue by lists, and the search in the nearest of them.

    Args:
        vectors: float32 ``[num_items, dim]`` of unit length.
        centroids: float32 ``[num_lists, dim]``, of `fit_centroids`.
        available: bool ``[num_items]``, what may be returned at all.
        num_probed: Open items that are looked at for a query: the nearest lists with as many of them.
        num_kept: Items that are named for a query.

    Example:
        >>> vectors = np.eye(4, dtype=np.float32)
        >>> lists = InvertedLists(
        ...     vectors, fit_centroids(vectors), available=np.ones(4, bool), num_probed=2, num_kept=1
        ... )
        >>> rows, cosines = lists(tf.constant(vectors[2:3]), tf.zeros([1, 4]))
        >>> rows.numpy(), cosines.numpy()
        (array([[2]], dtype=int32), array([[1.]], dtype=float32))
    """

    def __init__(
        self, vectors: Array, centroids: Array, *, available: Array, num_probed: int, num_kept: int
    ) -> None:
        super().__init__(name="inverted_lists")
        self.num_items, self.num_probed = len(vectors), num_probed
        self._num_kept, num_lists = min(num_kept, len(vectors)), len(centroids)
        list_of = nearest_lists(vectors, centroids)
        rows = np.argsort(list_of, kind="stable").astype(np.int32)
        places = np.empty_like(rows)
        places[rows] = np.arange(len(rows), dtype=np.int32)
        starts = np.concatenate([[0], np.cumsum(np.bincount(list_of, minlength=num_lists))]).astype(np.int32)
        # Variables, as all that grows with the catalogue: the graph optimiser copies constants many times.
        # The items of a list lie together.
        self._vectors = tf.Variable(vectors[rows], trainable=False)
        self._centroids = tf.Variable(centroids, trainable=False)
        self._rows, self._places, self._list_of, self._starts = (
            tf.Variable(values, trainable=False) for values in (rows, places, list_of, starts)
        )
        sizes = np.bincount(list_of[available], minlength=num_lists).astype(np.int32)
        self._num_available = tf.Variable(sizes, trainable=False)

    @property
    def _in_lists(self) -> tf.Tensor:
        # A tensor, because a variable that is both multiplied and gathered from is copied at every read.
        return tf.convert_to_tensor(self._vectors)

    def cosines(self, queries: tf.Tensor) -> tf.Tensor:
        """Those of the whole catalogue: float32 ``[batch, num_items]`` for float32 ``[batch, dim]``."""
        return tf.gather(tf.matmul(queries, self._in_lists, transpose_b=True), self._places, axis=1)

    def cosines_of(self, queries: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Those of int32 ``[batch, n]`` rows: float32 ``[batch, n]`` for float32 ``[batch, dim]``."""
        return tf.linalg.matvec(self.vectors_of(rows), queries)

    def vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        """The vectors of int32 rows of any shape, along one more axis."""
        return tf.gather(self._in_lists, tf.gather(self._places, rows))

    def __call__(
        self,
        queries: tf.Tensor,
        said: tf.Tensor,
        *,
        is_narrow: tf.Tensor | bool = False,
        further: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The open items of the highest sums of a cosine and what else is said of them.

        Looked at are the nearest lists, the items with the most said of them above 0, and `further` ones.
        Where fewer than `num_probed` items are open, that is all of them.

        Args:
            queries: float32 ``[batch, dim]``.
            said: float32 ``[batch, num_items]``, what else is said; -inf for what must not be named.
            is_narrow: bool ``[batch]`` or one for all, whether what is open must be counted list by list: a
                rule leaves out many. Without, what is available counts.
            further: int32 ``[batch, n]``, rows to be looked at besides; -1 for none.

        Returns:
            The rows in the catalogue's order, and -1 behind them: int32 ``[batch, num_kept]``. And their
            cosines, 0 behind them: float32 ``[batch, num_kept]``.
        """
        batch = tf.shape(queries)[0]
        further = tf.zeros([batch, 0], tf.int32) if further is None else further
        is_narrow = tf.broadcast_to(is_narrow, [batch])
        shape = [self._num_kept]
        found: tuple[tf.Tensor, tf.Tensor] = tf.map_fn(
            lambda row: self._of_one(*row),
            (queries, said, is_narrow, further),
            fn_output_signature=(tf.TensorSpec(shape, tf.int32), tf.TensorSpec(shape, tf.float32)),
            # One after the other, so that a batch takes no more memory than a query.
            parallel_iterations=1,
        )
        return found

    def _of_one(
        self, query: tf.Tensor, said: tf.Tensor, is_narrow: tf.Tensor, further: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        num_open = tf.cond(
            is_narrow, lambda: self._count(said), lambda: tf.convert_to_tensor(self._num_available)
        )
        lists = tf.argsort(tf.linalg.matvec(self._centroids, query), direction="DESCENDING")
        before = tf.cumsum(tf.gather(num_open, lists), exclusive=True)
        # The lists that hold so many open items; a list without any costs nothing.
        taken = tf.boolean_mask(lists, (before < self.num_probed) & (tf.gather(num_open, lists) > 0))
        _, places = tf.raw_ops.RaggedRange(
            starts=tf.gather(self._starts, taken),
            limits=tf.gather(self._starts, taken + 1),
            deltas=1,
            Tsplits=tf.int32,
        )
        others = self._beside(said, taken, further)
        rows = tf.concat([tf.gather(self._rows, places), others], axis=0)
        of_rows = tf.gather(said, rows)
        is_open = of_rows > -float("inf")
        rows, of_rows = tf.boolean_mask(rows, is_open), tf.boolean_mask(of_rows, is_open)
        places = tf.concat([places, tf.gather(self._places, others)], axis=0)
        vectors = tf.gather(self._in_lists, tf.boolean_mask(places, is_open))
        cosines = tf.linalg.matvec(vectors, query)
        best = self._best(of_rows + cosines)
        # Equal scores then come in the same order as in the whole catalogue.
        best = tf.gather(best, tf.argsort(tf.gather(rows, best)))
        padding = [[0, self._num_kept - tf.size(best)]]
        rows = tf.pad(tf.gather(rows, best), padding, constant_values=-1)
        cosines = tf.pad(tf.gather(cosines, best), padding)
        return tf.ensure_shape(rows, [self._num_kept]), tf.ensure_shape(cosines, [self._num_kept])

    def _best(self, scores: tf.Tensor) -> tf.Tensor:
        """The places of the `num_kept` highest of float32 ``[n]`` scores, or of all: int32, in any order."""
        return tf.math.top_k(scores, tf.minimum(self._num_kept, tf.size(scores)), sorted=False).indices

    def _count(self, said: tf.Tensor) -> tf.Tensor:
        """The open items of each list: int32 ``[num_lists]``."""
        is_open = tf.cast(said > -float("inf"), tf.int32)
        return tf.math.unsorted_segment_sum(is_open, self._list_of, tf.size(self._num_available))

    def _beside(self, said: tf.Tensor, taken: tf.Tensor, further: tf.Tensor) -> tf.Tensor:
        """Distinct rows outside of the lists that are taken: with the most said of them, and `further`."""
        # Words say nothing of most items, and a look for the best of all of these would take longest.
        is_said = tf.cast(tf.where(said > 0)[:, 0], tf.int32)
        best = tf.gather(is_said, self._best(tf.gather(said, is_said)))
        rows = tf.sort(tf.concat([best, tf.boolean_mask(further, further >= 0)], axis=0))
        is_first = tf.concat([tf.ones([1], tf.bool), rows[1:] != rows[:-1]], axis=0)[: tf.size(rows)]
        is_taken = tf.scatter_nd(taken[:, None], tf.ones_like(taken), tf.shape(self._num_available))
        is_outside = tf.gather(is_taken, tf.gather(self._list_of, rows)) == 0
        return tf.boolean_mask(rows, is_first & is_outside)
