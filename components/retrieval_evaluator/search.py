"""The protocol for search: the whole catalogue ranked for each query.

Items that nobody judged have gain 0. nDCG@10 takes the graded gains; for recall@100 and MRR the items with
the highest grade of the data set are the relevant ones. A query counts that has an item with gain above 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.evaluation import (
    Array,
    Evaluation,
    MetricRow,
    ScoreFunction,
    mean_row,
)
from components.retrieval_evaluator.names import MISTYPED, SEARCH
from models import metrics

RECALL_K = 100
NDCG_K = 10


def evaluate_search(
    *,
    queries: Sequence[str],
    gains: sparse.csr_matrix,
    systems: Mapping[str, ScoreFunction],
    query_groups: Mapping[str, Sequence[str]] | None = None,
    mistyped: Sequence[Sequence[str]] = (),
    chunk_size: int = 64,
    seed: int = 0,
) -> Evaluation:
    """Measures systems on the queries of one split.

    Args:
        queries: Texts.
        gains: CSR `[num_queries, num_items]`, the gain of each judged item.
        systems: Score functions by name; they are asked for a chunk of queries at a time.
        query_groups: The group of every query by the grouping's name: a slice for each group, and by length.
        mistyped: The queries with typing errors, drawn several times: a slice with the mean over the draws.
        chunk_size: Queries at a time; a chunk's scores are `chunk_size` x `num_items` floats.
        seed: Of the bootstrap.

    Raises:
        ValueError: There is not one row of gains for each query.
    """
    num_queries, num_items = gains.shape
    if len(queries) != num_queries:
        raise ValueError(f"gains must have one row per query. Got {num_queries} for {len(queries)} queries.")
    gains = sparse.csr_matrix(gains, dtype=np.float64, copy=True)
    gains.eliminate_zeros()
    best_gain = gains.data.max(initial=0.0)
    units = np.flatnonzero(np.diff(gains.indptr)).astype(np.int32)
    groups = {"words": [_length(query) for query in queries]} | dict(query_groups or {})
    masks = {
        f"{name}={group}": np.asarray(group_of)[units] == group
        for name, group_of in groups.items()
        for group in sorted(set(group_of))
        if group
    }
    rows: list[MetricRow] = []
    values: dict[tuple[str, str, str], Array] = {}

    def measured(score: ScoreFunction, texts: Sequence[str]) -> dict[str, Array]:
        chunks = []
        for start in range(0, len(units), chunk_size):
            chunk = units[start : start + chunk_size]
            scores = score(Queries.of_texts([texts[row] for row in chunk], num_items))
            chunks.append(_measure(scores, gains[chunk], best_gain))
        return {metric: np.concatenate([part[metric] for part in chunks]) for metric in chunks[0]}

    for system, score in systems.items() if len(units) else ():
        for metric, per_query in measured(score, queries).items():
            values[system, SEARCH, metric] = per_query
            for slice_, mask in {"": np.ones(len(units), bool), **masks}.items():
                row = mean_row(
                    per_query[mask], system=system, task=SEARCH, metric=metric, seed=seed, slice_=slice_
                )
                if row is not None:
                    rows.append(row)
        draws = [measured(score, texts) for texts in mistyped]
        for metric in draws[0] if draws else ():
            row = mean_row(
                np.mean([draw[metric] for draw in draws], axis=0),
                system=system,
                task=SEARCH,
                metric=metric,
                seed=seed,
                slice_=MISTYPED,
            )
            if row is not None:
                rows.append(row)
    return Evaluation(rows=tuple(rows), values=values, units={SEARCH: units})


def _measure(scores: Array, gains: sparse.csr_matrix, best_gain: float) -> dict[str, Array]:
    hits = metrics.rank_relevant(scores, gains)
    best = hits.where(hits.gains >= best_gain)
    return {
        f"ndcg@{NDCG_K}": metrics.ndcg_at_k(hits, NDCG_K),
        f"recall@{RECALL_K}": metrics.recall_at_k(best, RECALL_K),
        "mrr": metrics.reciprocal_rank(best, scores.shape[1]),
    }


def _length(query: str) -> str:
    num_words = len(query.split())
    if num_words <= 2:
        return "1-2"
    return "3-4" if num_words <= 4 else "5+"
