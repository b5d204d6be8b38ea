"""The fusion of a search: weights of its parts learnt from judged queries, kept only where they help."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from models.metrics import ndcg_at_k, paired_difference_interval, rank_relevant
from serving.servable.search_quality import CHUNK, MIN_JUDGED, JudgedQueries, K
from serving.servable.searching import PARTS, Searching

_FOLDS = 5
_MAX_QUERIES = 2000
# Judged items of a query that are looked at; the pairs of them are compared.
_MAX_JUDGED_ITEMS = 100
_STEPS, _RATE = 80, 0.05
_START = np.float32(np.log(5.0))
_PENALTY = 0.03
# How often the ranks are taken anew, and the place beyond which a swap changes nothing that people see.
_STEPS_OF_RANKS = 5
_LAST_PLACE = 20


class JudgedParts(NamedTuple):
    """What a search says of the judged items of each query.

    Attributes:
        parts: float32 ``[num_queries, n, len(PARTS)]``.
        gains: float32 ``[num_queries, n]``, -1 for padding.
    """

    parts: np.ndarray
    gains: np.ndarray

    def of(self, rows: np.ndarray) -> JudgedParts:
        """Those of some queries."""
        return JudgedParts(self.parts[rows], self.gains[rows])


def learn_weights(
    searching: Searching, judged: JudgedQueries, vectors: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray | None, str]:
    """Weights of the parts of a search, where cross-validation finds that they help.

    They are fitted to all queries, if those fitted to four fifths of them order the catalogue better for the
    last fifth: the 95 % interval of the difference in nDCG@10 is above zero. With fewer queries than
    `MIN_JUDGED` nothing is tried.

    Args:
        searching: Search over the catalogue.
        judged: Queries that may be learnt from.
        vectors: float32 ``[num_queries, dim]``, the queries encoded.
        seed: Of the folds.

    Returns:
        float32 ``[len(PARTS)]``, none below 0, or ``None`` where the plain sum stays; and a sentence about
        it, "" if nothing was tried.
    """
    if len(judged.queries) < MIN_JUDGED:
        return None, ""
    rows = np.random.default_rng(seed).permutation(len(judged.queries))[:_MAX_QUERIES]
    judged = JudgedQueries(queries=[judged.queries[row] for row in rows], gains=judged.gains[rows])
    vectors = vectors[rows]
    known = _judged_parts(searching, judged, vectors)
    fold = np.arange(len(rows)) % _FOLDS
    of_fold = np.stack([fit_weights(known.of(np.flatnonzero(fold != number))) for number in range(_FOLDS)])
    plain, learnt = _quality(searching, judged, vectors, of_fold[fold])
    low, high = paired_difference_interval(learnt, plain)
    is_better = low > 0
    sentence = (
        f"Weights learnt from {len(rows)} judged queries are {'' if is_better else 'not '}taken: in "
        f"cross-validation nDCG@10 is {np.mean(learnt):.3f} with them and {np.mean(plain):.3f} without, "
        f"difference {np.mean(learnt - plain):+.3f} [{low:+.3f}, {high:+.3f}]."
    )
    return (fit_weights(known) if is_better else None), sentence


def fit_weights(known: JudgedParts) -> np.ndarray:
    """Weights that order judged items by their grades: float32 ``[len(PARTS)]``, none below 0.

    The loss is LambdaRank's (Burges 2010): each pair of judged items counts by what its swap changes in nDCG.
    An unjudged item is no bad one: as negatives they would teach what the engine found that was judged.

    Args:
        known: Of the queries to learn from.
    """
    is_item = known.gains >= 0
    spread = np.maximum(known.parts[is_item].std(axis=0), 1e-6).astype(np.float32)
    parts, gains = tf.constant(known.parts), tf.constant(np.maximum(known.gains, 0.0), tf.float32)
    best = -np.sort(-gains.numpy(), axis=1)
    ideal = np.maximum((best / np.log2(np.arange(2, best.shape[1] + 2))).sum(axis=1), 1e-9)
    above = np.maximum(gains.numpy()[:, :, None] - gains.numpy()[:, None], 0.0) / ideal[:, None, None]
    above = above * (is_item[:, :, None] & is_item[:, None])
    sharpness, weights = keras.Variable(_START), keras.Variable(np.zeros(len(PARTS), np.float32))
    optimizer = keras.optimizers.Adam(_RATE)
    optimizer.build([sharpness, weights])

    def scores() -> tf.Tensor:
        each = tf.exp(sharpness.value) + weights.value / spread
        return tf.reduce_sum(parts * each, axis=2)

    for step in range(_STEPS):
        if step % _STEPS_OF_RANKS == 0:
            places = np.argsort(np.argsort(-np.where(is_item, scores().numpy(), -np.inf), axis=1), axis=1)
            discount = np.where(places < _LAST_PLACE, 1.0 / np.log2(places + 2.0), 0.0)
            swaps = tf.constant(above * np.abs(discount[:, :, None] - discount[:, None]), tf.float32)
        with tf.GradientTape() as tape:
            said = scores()
            losses = swaps * tf.nn.softplus(said[:, None] - said[:, :, None])
            loss = tf.reduce_sum(losses) / len(gains) + _PENALTY * tf.reduce_sum(weights.value**2)
        gradients = tape.gradient(loss, [sharpness.value, weights.value])
        optimizer.apply(gradients, [sharpness, weights])
    learnt = 1.0 + weights.numpy() / (spread * np.exp(sharpness.numpy()))
    return np.maximum(learnt, 0.0).astype(np.float32)


def _judged_parts(searching: Searching, judged: JudgedQueries, vectors: np.ndarray) -> JudgedParts:
    lengths = np.minimum(np.diff(judged.gains.indptr), _MAX_JUDGED_ITEMS)
    parts = np.zeros((len(lengths), max(lengths.max(initial=0), 1), len(PARTS)), np.float32)
    gains = np.full(parts.shape[:2], -1.0, np.float32)
    for start in range(0, len(lengths), CHUNK):
        said = _parts(searching, judged, vectors, start)
        for row, length in enumerate(lengths[start : start + CHUNK], start):
            first = judged.gains.indptr[row]
            items = judged.gains.indices[first : first + length]
            parts[row, :length] = said[:, row - start, items].T
            gains[row, :length] = judged.gains.data[first : first + length]
    return JudgedParts(parts, gains)


def _parts(searching: Searching, judged: JudgedQueries, vectors: np.ndarray, start: int) -> np.ndarray:
    """What is said of the catalogue: float32 ``[len(PARTS), chunk, num_items]``."""
    stop = start + CHUNK
    found = searching(tf.constant(list(judged.queries[start:stop])), tf.constant(vectors[start:stop]))
    return np.stack([found.parts[name].numpy() for name in PARTS])


def _quality(
    searching: Searching, judged: JudgedQueries, vectors: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """nDCG@10 of the plain sum and of a sum by float32 ``[num_queries, len(PARTS)]``, for each query."""
    plain, weighted = [], []
    for start in range(0, len(judged.queries), CHUNK):
        said = _parts(searching, judged, vectors, start)
        gains = judged.gains[start : start + CHUNK]
        of_chunk = weights[start : start + CHUNK].T[..., None]
        plain.append(ndcg_at_k(rank_relevant(said.sum(axis=0), gains), K))
        weighted.append(ndcg_at_k(rank_relevant((said * of_chunk).sum(axis=0), gains), K))
    counts = np.isfinite(np.concatenate(plain))
    return np.concatenate(plain)[counts], np.concatenate(weighted)[counts]
