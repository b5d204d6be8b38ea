"""The approximate index: fitted, measured against the exact one, and taken where it finds nearly the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from dataset.errors import DataError
from models.inverted_lists import InvertedLists, fit_centroids
from models.item_table import ItemTable
from models.query_table import pseudo_queries
from serving.servable.arrangement import MAX_RESULTS
from serving.servable.likeness import Likeness
from serving.servable.searching import Found, Searching

# What is named of an item's or a query's neighbours, for their exact scores. An answer lists fewer.
_NUM_KEPT = 2 * MAX_RESULTS
# To look at more of the catalogue than this share gains too little over all of it.
_MAX_SHARE = 0.25
_K = 100
_NUM_QUERIES, _SEED = 200, 2
# What two ways to compute a score may differ by.
_ROUNDING = 1e-5
# Scores of the whole catalogue that are held at a time, for each part of them.
_MAX_SCORES = 1 << 23


@dataclasses.dataclass(frozen=True, kw_only=True)
class IndexRecall:
    """How much of the exact index's first hundred the approximate one finds.

    Attributes:
        search: The mean over queries.
        similar: The mean over items.
        num_probed: Items that the approximate index looks at.
    """

    search: float
    similar: float
    num_probed: int

    @property
    def lowest(self) -> float:
        """The lower of both."""
        return min(self.search, self.similar)


def approximate(
    searching: Searching,
    likeness: Likeness,
    items: ItemTable,
    *,
    text_vectors: np.ndarray,
    titles: Sequence[str],
    encode: Callable[[Sequence[str]], np.ndarray],
    num_candidates: int,
    min_recall: float,
) -> tuple[IndexRecall, str]:
    """Has a search look into lists, as many as give the recall that is asked for.

    Args:
        searching: Search over the catalogue; it looks into the lists afterwards.
        likeness: Likeness over the same.
        items: The catalogue.
        text_vectors: float32 ``[num_items, text_dim]``, those of ``searching``.
        titles: The first text column of each item. Words of some are the queries to measure it on, and what
            is like their items is measured too.
        encode: Gives float32 ``[n, text_dim]`` vectors of queries.
        num_candidates: Items that are arranged.
        min_recall: The least recall@100, of search and of similar items.

    Returns:
        The recall, and a sentence about it.

    Raises:
        DataError: If no share of the catalogue up to a quarter gives that recall.
    """
    made = pseudo_queries(titles, seed=_SEED)[:_NUM_QUERIES]
    queries, rows = [text for text, _ in made], np.array([row for _, row in made], np.int32)
    query_vectors, is_open = encode(queries), items.available
    query_chunks = list(_chunks(len(queries), len(items)))
    row_chunks = list(_chunks(len(rows), len(items)))
    asked = [(tf.constant(list(queries[chunk])), tf.constant(query_vectors[chunk])) for chunk in query_chunks]
    alike = [tf.constant(rows[chunk]) for chunk in row_chunks]
    least_found = [_hundredth(searching(*one).scores.numpy(), is_open) for one in asked]
    least_alike = [_hundredth(likeness(one)[0].numpy(), is_open) for one in alike]

    lists = InvertedLists(
        text_vectors,
        fit_centroids(text_vectors),
        available=is_open,
        num_probed=len(items),
        num_kept=max(_NUM_KEPT, num_candidates),
    )
    searching.look_into(lists)

    def within(scores: tf.Tensor) -> tf.Tensor:
        return tf.where(is_open, scores, -float("inf"))

    def search(query: tf.Tensor, vectors: tf.Tensor) -> Found:
        nothing = tf.zeros([tf.size(query), 0], tf.int32)
        words = searching.words(query)
        return searching.near(words, vectors, within, is_narrow=tf.constant(False), further=nothing)

    def similar(row: tf.Tensor) -> Found:
        return likeness.near(row, lists, within, is_narrow=tf.constant(False))

    for lists.num_probed in _numbers_to_try(len(items)):
        recall = IndexRecall(
            search=_recall([search(*one) for one in asked], least_found),
            similar=_recall([similar(one) for one in alike], least_alike),
            num_probed=lists.num_probed,
        )
        said = (
            f"recall@{_K} {recall.search:.3f} for search and {recall.similar:.3f} for similar items where "
            f"{recall.num_probed:,} of {len(items):,} items are looked at"
        )
        if recall.lowest >= min_recall:
            about = f"The approximate index is taken: {said}, on {len(made)} queries and their items."
            return recall, about
    raise DataError(
        f"An approximate index must find {min_recall:g} of what exact search finds (serve.min_index_recall). "
        f'Got {said}; set serve.index = "exact", or accept less.'
    )


def _numbers_to_try(num_items: int) -> Iterator[int]:
    number = 2 * _NUM_KEPT
    if number > num_items * _MAX_SHARE:
        # So small a catalogue is looked at as a whole.
        yield num_items
    while number <= num_items * _MAX_SHARE:
        yield number
        number *= 2


def _chunks(count: int, num_items: int) -> Iterator[slice]:
    size = max(_MAX_SCORES // num_items, 1)
    return (slice(start, start + size) for start in range(0, count, size))


def _hundredth(scores: np.ndarray, is_open: np.ndarray) -> np.ndarray:
    """The hundredth of the scores that may be returned, -inf where there are fewer: float32 ``[batch]``."""
    kept = np.where(is_open, scores, -np.inf)
    place = min(_K, kept.shape[1]) - 1
    hundredth: np.ndarray = -np.partition(-kept, place, axis=1)[:, place]
    return hundredth


def _recall(found: Sequence[Found], least: Sequence[np.ndarray]) -> float:
    """The mean share of a hundred places that are taken by an item with as high a score as is due."""
    shares = []
    for one, hundredth in zip(found, least, strict=True):
        scores = np.where(one.is_item.numpy(), one.scores.numpy(), -np.inf)
        num_due = min(_K, scores.shape[1])
        enough = (scores >= hundredth[:, None] - _ROUNDING).sum(axis=1)
        shares.append(np.minimum(enough, num_due) / num_due)
    return float(np.concatenate(shares).mean())
