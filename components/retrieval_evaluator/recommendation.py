"""The protocol for recommendation: what a user does after the cut, ranked in the whole catalogue.

Candidates are all items with events before the cut. A user counts who has events before the cut and at least
one relevant item in the window. Where users are sessions, the cut of each is before its last moment.

* ``novel``: relevant are the distinct items of the window that the user did not have before; what they had is
  removed from the ranking.
* ``all``: relevant are the distinct items of the window; repeats are allowed.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Interactions, Queries
from components.retrieval_evaluator.evaluation import (
    Array,
    Evaluation,
    MetricRow,
    ScoreFunction,
    mean_row,
)
from components.retrieval_evaluator.names import ALL, COLD_USERS, NOVEL
from models import metrics

TASKS = (NOVEL, ALL)

RECALL_K = 20
NDCG_K = 10

# Half of all events before the cut are with head items.
HEAD_SHARE = 0.5
COLD_ITEM_USERS = 5
COLD_USER_ITEMS = 10


def is_cold(had: sparse.csr_matrix) -> Array:
    """Which users had few items before the cut: bool `[num_users]`.

    Args:
        had: CSR `[num_users, num_items]`, not 0 where a user had an item.
    """
    return np.diff(had.indptr) <= COLD_USER_ITEMS


@dataclasses.dataclass(frozen=True, kw_only=True)
class ItemSlices:
    """Which candidates are popular: bool `[num_items]` masks from the events before the cut.

    Attributes:
        head: The most popular candidates that together have `HEAD_SHARE` of the events.
        tail: All other candidates.
        cold: Candidates that fewer than `COLD_ITEM_USERS` users had; part of the tail.
    """

    head: Array
    tail: Array
    cold: Array

    @classmethod
    def of(cls, past: Interactions) -> ItemSlices:
        """Splits the candidates of `past`."""
        events = np.bincount(past.item_rows, minlength=past.num_items)
        order = np.argsort(-events, kind="stable")
        before = np.cumsum(events[order]) - events[order]
        head = np.zeros(past.num_items, bool)
        head[order[before < HEAD_SHARE * len(past)]] = True
        users = np.asarray(past.binary().sum(axis=0)).ravel()
        return cls(head=head, tail=(events > 0) & ~head, cold=(events > 0) & (users < COLD_ITEM_USERS))


def evaluate_recommendation(
    *,
    past: Interactions,
    future: Interactions,
    systems: Mapping[str, ScoreFunction],
    histories: Interactions | None = None,
    item_vectors: Array | None = None,
    user_groups: Mapping[str, Sequence[str]] | None = None,
    chunk_size: int = 256,
    seed: int = 0,
) -> Evaluation:
    """Measures systems on both tasks.

    Args:
        past: Everything before the cut: the candidates, and what popularity means.
        future: The window.
        systems: Score functions by name, asked for a chunk of users at a time.
        histories: What each user had when they are asked; `past` if left out.
        item_vectors: float `[num_items, dim]` for intra-list diversity; without them it is left out.
        user_groups: The group of every user, `[num_users]`, by the grouping's name: a slice for each group.
        chunk_size: Users at a time; a chunk's scores are `chunk_size` x `num_items` floats.
        seed: Of the bootstrap.

    Raises:
        ValueError: `past` and `future` are not about the same users and items.
    """
    if (past.num_users, past.num_items) != (future.num_users, future.num_items):
        raise ValueError("past and future must be about the same users and items.")
    histories = past if histories is None else histories
    had = histories.binary()
    candidates = np.asarray(past.binary().sum(axis=0)).ravel() > 0
    relevant = _relevant(had, future, candidates)
    units = {task: np.flatnonzero(np.diff(relevant[task].indptr)).astype(np.int32) for task in TASKS}
    users = np.union1d(units[NOVEL], units[ALL])
    masks = _user_masks(had, user_groups or {})
    judge = _Judge(past, candidates, item_vectors)
    parts: dict[str, dict[tuple[str, str], list[Array]]] = {system: defaultdict(list) for system in systems}
    listed: dict[str, dict[str, list[Array]]] = {system: defaultdict(list) for system in systems}
    for start in range(0, len(users), chunk_size):
        chunk = users[start : start + chunk_size]
        queries = Queries.of_users(histories, chunk)
        for system, score in systems.items():
            scores = score(queries)
            for task in TASKS:
                counts = np.isin(chunk, units[task])
                task_scores = np.where(candidates, scores[counts], -np.inf)
                if task == NOVEL:
                    task_scores[had[chunk[counts]].nonzero()] = -np.inf
                measured, lists = judge.measure(task_scores, relevant[task][chunk[counts]])
                listed[system][task].append(lists)
                for metric, per_user in measured.items():
                    parts[system][task, metric].append(per_user)
    rows: list[MetricRow] = []
    values: dict[tuple[str, str, str], Array] = {}
    for system in systems:
        for (task, metric), chunks in parts[system].items():
            name, _, item_slice = metric.partition("|")
            per_user = np.concatenate(chunks)
            if not item_slice:
                values[system, task, name] = per_user
            here = {item_slice: np.ones(len(per_user), bool)}
            if not item_slice and name in judge.sliced:
                here |= {user_slice: mask[units[task]] for user_slice, mask in masks.items()}
            for slice_, mask in here.items():
                row = mean_row(
                    per_user[mask], system=system, task=task, metric=name, seed=seed, slice_=slice_
                )
                if row is not None:
                    rows.append(row)
        for task, lists_ in listed[system].items():
            lists = np.concatenate(lists_)
            if len(lists):
                rows.append(_coverage(lists, candidates, system, task))
    return Evaluation(rows=tuple(rows), values=values, units=units)


class _Judge:
    """All metrics of one chunk of users."""

    sliced = (f"recall@{RECALL_K}", f"ndcg@{NDCG_K}")

    def __init__(self, past: Interactions, candidates: Array, item_vectors: Array | None) -> None:
        self._user_counts = np.asarray(past.binary().sum(axis=0)).ravel()
        self._num_users = len(np.unique(past.user_rows))
        self._item_vectors = item_vectors
        self._slices = dataclasses.asdict(ItemSlices.of(past))

    def measure(self, scores: Array, gains: sparse.csr_matrix) -> tuple[dict[str, Array], Array]:
        """Metrics by name, those of an item slice as ``metric|item=slice``, and the lists of items."""
        hits = metrics.rank_relevant(scores, gains)
        lists = metrics.top_k(scores, RECALL_K)
        found = self._accuracy(hits)
        found["mrr"] = metrics.reciprocal_rank(hits, scores.shape[1])
        found[f"novelty@{RECALL_K}"] = metrics.novelty_at_k(lists, self._user_counts, self._num_users)
        if self._item_vectors is not None:
            found[f"diversity@{RECALL_K}"] = metrics.diversity_at_k(lists, self._item_vectors)
        for name, mask in self._slices.items():
            part = self._accuracy(hits.where(mask[hits.items]))
            found |= {f"{metric}|item={name}": values for metric, values in part.items()}
        return found, lists

    def _accuracy(self, hits: metrics.Hits) -> dict[str, Array]:
        recall, ndcg = self.sliced
        return {recall: metrics.recall_at_k(hits, RECALL_K), ndcg: metrics.ndcg_at_k(hits, NDCG_K)}


def _relevant(
    had: sparse.csr_matrix, future: Interactions, candidates: Array
) -> dict[str, sparse.csr_matrix]:
    """By task, CSR `[num_users, num_items]` of ones; a user without a history has none."""
    has_history = np.asarray(had.sum(axis=1)).ravel() > 0
    keep = sparse.diags(has_history.astype(float)) @ future.binary() @ sparse.diags(candidates.astype(float))
    everything = sparse.csr_matrix(keep)
    everything.eliminate_zeros()
    novel = sparse.csr_matrix(everything - everything.multiply(had))
    novel.eliminate_zeros()
    return {NOVEL: novel, ALL: everything}


def _user_masks(had: sparse.csr_matrix, groups: Mapping[str, Sequence[str]]) -> dict[str, Array]:
    """Which users are in each slice: bool `[num_users]` by its name."""
    masks = {COLD_USERS: is_cold(had)}
    for name, group_of in groups.items():
        labels = np.asarray(group_of)
        masks |= {f"{name}={group}": labels == group for group in np.unique(labels) if group}
    return masks


def _coverage(lists: Array, candidates: Array, system: str, task: str) -> MetricRow:
    return MetricRow(
        system=system,
        task=task,
        metric=f"coverage@{RECALL_K}",
        value=metrics.coverage_at_k(lists, int(candidates.sum())),
        low=None,
        high=None,
        num=len(lists),
    )
