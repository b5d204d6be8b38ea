"""The protocol for a cold start: people without a past, and items without one.

* ``user=unknown``: the users of the window, asked for as strangers; relevant is what they chose in it.
* ``item=new``: items that nobody had before the cut are candidates too, and only they are relevant.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Interactions, Queries
from components.retrieval_evaluator.evaluation import Array, MetricRow, ScoreFunction, mean_row
from components.retrieval_evaluator.names import ALL, NOVEL
from models import metrics

UNKNOWN_USER, NEW_ITEM = "user=unknown", "item=new"
RECALL_K, NDCG_K = 20, 10


def evaluate_cold_start(
    *,
    past: Interactions,
    histories: Interactions,
    future: Interactions,
    systems: Mapping[str, ScoreFunction],
    chunk_size: int,
    seed: int,
) -> tuple[MetricRow, ...]:
    """Measures systems where there is little to go by.

    Args:
        past: Everything before the cut.
        histories: What each user had when they are asked.
        future: The window.
        systems: Score functions by name.
        chunk_size: Users at a time.
        seed: Of the bootstrap.
    """
    bought, had = future.binary().tocsr(), histories.binary()
    is_known = np.asarray(past.binary().sum(axis=0)).ravel() > 0
    known, new = bought.multiply(is_known).tocsr(), bought.multiply(~is_known).tocsr()
    for matrix in (known, new):
        matrix.eliminate_zeros()
    buyers = np.flatnonzero(np.diff(known.indptr)).astype(np.int32)
    early = np.flatnonzero((np.diff(new.indptr) > 0) & (np.diff(had.indptr) > 0)).astype(np.int32)
    rows: list[MetricRow] = []
    for task, slice_, users, relevant in (
        (ALL, UNKNOWN_USER, buyers, known),
        (NOVEL, NEW_ITEM, early, new),
    ):
        for name, score in systems.items():
            found = []
            for start in range(0, len(users), chunk_size):
                chunk = users[start : start + chunk_size]
                if slice_ == UNKNOWN_USER:
                    scores = np.where(
                        is_known, score(Queries.of_texts([""] * len(chunk), len(is_known))), -np.inf
                    )
                else:
                    scores = score(Queries.of_users(histories, chunk)).copy()
                    scores[had[chunk].nonzero()] = -np.inf
                found.append(_measure(scores, relevant[chunk]))
            rows += _rows(found, system=name, task=task, slice_=slice_, seed=seed)
    return tuple(rows)


def _measure(scores: Array, gains: sparse.csr_matrix) -> dict[str, Array]:
    hits = metrics.rank_relevant(scores, gains)
    return {
        f"recall@{RECALL_K}": metrics.recall_at_k(hits, RECALL_K),
        f"ndcg@{NDCG_K}": metrics.ndcg_at_k(hits, NDCG_K),
    }


def _rows(
    found: list[dict[str, Array]], *, system: str, task: str, slice_: str, seed: int
) -> list[MetricRow]:
    rows = []
    for metric in found[0] if found else ():
        values = np.concatenate([part[metric] for part in found])
        row = mean_row(values, system=system, task=task, metric=metric, seed=seed, slice_=slice_)
        if row is not None:
            rows.append(row)
    return rows
