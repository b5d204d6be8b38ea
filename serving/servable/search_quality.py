"""Judged queries that a servable may be fitted to, and how well a search orders the catalogue for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from scipy import sparse

from models.interactions import Contexts
from models.metrics import ndcg_at_k, rank_relevant
from serving.servable.searching import Searching

# Fewer judged queries say too little.
MIN_JUDGED = 20
# Queries that are searched for at once.
CHUNK = 64
K = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedQueries:
    """Texts, and the gain of each judged item: CSR ``[num_queries, num_items]``."""

    queries: Sequence[str]
    gains: sparse.csr_matrix

    @classmethod
    def on_catalogue(cls, splits: Sequence[Contexts], rows: np.ndarray, num_items: int) -> JudgedQueries:
        """Judged queries in the rows of another catalogue; items it does not have are passed over.

        Args:
            splits: Queries with the items judged for them.
            rows: int64 ``[num_items_before]``, where each of their items is in the catalogue, -1 if it is
                gone.
            num_items: Of the catalogue.
        """
        targets = [np.zeros(0, np.int64), *(row for split in splits for row in split.targets)]
        gains = [np.zeros(0), *(row for split in splits for row in split.weights)]
        of_query = np.repeat(np.arange(-1, len(targets) - 1), [len(row) for row in targets])
        items = rows[np.concatenate(targets)]
        stays = items >= 0
        matrix = sparse.csr_matrix(
            (np.concatenate(gains)[stays], (of_query[stays], items[stays])),
            shape=(len(targets) - 1, num_items),
        )
        queries = [query.decode() for split in splits for query in split.queries]
        return cls(queries=queries, gains=matrix)


def search_quality(searching: Searching, judged: JudgedQueries, vectors: np.ndarray) -> np.ndarray:
    """The nDCG@10 of a search, float64 ``[num_queries]``, NaN where nothing relevant is in the catalogue.

    Args:
        searching: Search over the catalogue.
        judged: Queries.
        vectors: float32 ``[num_queries, text_dim]``, the queries encoded.
    """
    parts = [np.zeros(0)]
    for start in range(0, len(judged.queries), CHUNK):
        stop = start + CHUNK
        found = searching(tf.constant(list(judged.queries[start:stop])), tf.constant(vectors[start:stop]))
        parts.append(ndcg_at_k(rank_relevant(found.scores.numpy(), judged.gains[start:stop]), K))
    return np.concatenate(parts)
