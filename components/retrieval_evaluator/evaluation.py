"""Results of an evaluation: rows for tables, and the values of each query or user behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Queries
from models.metrics import bootstrap_interval, paired_difference_interval

Array = np.ndarray[Any, Any]

# Scores the whole catalogue: float `[num_queries, num_items]`, ``-inf`` is not retrieved.
ScoreFunction = Callable[[Queries], Array]

# An interval over fewer queries or users says nothing.
MIN_SLICE_SIZE = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One number of a report.

    Attributes:
        system: What was measured.
        task: ``search``, ``novel`` or ``all``.
        metric: Such as ``recall@20``.
        value: The mean over queries or users, or the one value of a metric over all lists.
        low: Lower end of the 95 % bootstrap interval, ``None`` for a metric without one.
        high: Upper end, likewise.
        num: How many queries or users were measured.
        slice: Which of them, as ``name=value``; "" for all.
    """

    system: str
    task: str
    metric: str
    value: float
    low: float | None
    high: float | None
    num: int
    slice: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """A paired comparison of two systems on the same queries or users, with its 95 % bootstrap interval."""

    system: str
    baseline: str
    task: str
    metric: str
    value: float
    low: float
    high: float
    num: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Measured systems.

    Attributes:
        rows: Every number, in the order it was measured.
        values: float64 `[num_units]` by system, task and metric: one per query or user of `units`; NaN where
            the metric is not defined.
        units: int32 `[num_units]` by task: the rows of the queries or users that count.
    """

    rows: tuple[MetricRow, ...]
    values: Mapping[tuple[str, str, str], Array]
    units: Mapping[str, Array]

    def value(self, system: str, task: str, metric: str, slice_: str = "") -> float:
        """One number of `rows`.

        Raises:
            KeyError: It was not measured.
        """
        for row in self.rows:
            if (row.system, row.task, row.metric, row.slice) == (system, task, metric, slice_):
                return row.value
        raise KeyError(f"{system}, {task}, {metric}, {slice_ or 'all'}")

    def difference(
        self, system: str, baseline: str, task: str, metric: str, *, seed: int = 0
    ) -> Difference | None:
        """How much better `system` is than `baseline`; ``None`` where nobody was measured for both.

        Raises:
            KeyError: One of the two was not measured.
        """
        ours, theirs = self.values[system, task, metric], self.values[baseline, task, metric]
        both = ~np.isnan(ours) & ~np.isnan(theirs)
        if not both.any():
            return None
        low, high = paired_difference_interval(ours[both], theirs[both], seed=seed)
        return Difference(
            system=system,
            baseline=baseline,
            task=task,
            metric=metric,
            value=float((ours[both] - theirs[both]).mean()),
            low=low,
            high=high,
            num=int(both.sum()),
        )


def as_listed(score: ScoreFunction) -> ScoreFunction:
    """A baseline whose equal scores stand in the order of the item table, as it would list them.

    Ties count against what we build; against what it must beat they would only flatter us. BM25 on titles has
    many of them, and loses a fiftieth of nDCG@10 by the other rule.
    """

    def listed(queries: Queries) -> Array:
        scores = score(queries)
        order = np.argsort(-scores, axis=1, kind="stable")
        places = np.empty(scores.shape, np.float64)
        np.put_along_axis(places, order, -np.arange(scores.shape[1], dtype=np.float64)[None], axis=1)
        places[scores == -np.inf] = -np.inf
        return places

    return listed


def without_disliked(score: ScoreFunction, disliked: sparse.csr_matrix) -> ScoreFunction:
    """A system that does not retrieve what the asking user dislikes.

    Args:
        score: The system.
        disliked: CSR `[num_users, num_items]`, not 0 where a user dislikes an item.
    """
    if not disliked.nnz:
        return score

    def scored(queries: Queries) -> Array:
        scores = score(queries).copy()
        known = np.flatnonzero(queries.user_rows >= 0)
        places, items = disliked[queries.user_rows[known]].nonzero()
        scores[known[places], items] = -np.inf
        return scores

    return scored


def mean_row(
    values: Array, *, system: str, task: str, metric: str, seed: int, slice_: str = ""
) -> MetricRow | None:
    """The mean and its interval over the values that are not NaN; ``None`` if there are none.

    A slice of fewer than `MIN_SLICE_SIZE` values is left out too.
    """
    known = values[~np.isnan(values)]
    if len(known) < (MIN_SLICE_SIZE if slice_ else 1):
        return None
    low, high = bootstrap_interval(known, seed=seed)
    return MetricRow(
        system=system,
        task=task,
        metric=metric,
        value=float(known.mean()),
        low=low,
        high=high,
        num=len(known),
        slice=slice_,
    )
