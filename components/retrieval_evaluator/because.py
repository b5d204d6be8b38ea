"""The test of reasons: an answer without the item, or the word, that is said to have spoken for it."""

from __future__ import annotations

import re

import numpy as np

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.evaluation import MetricRow, mean_row
from components.retrieval_evaluator.evaluation_data import Judged, Log
from components.retrieval_evaluator.names import NOVEL, OURS, SEARCH
from components.retrieval_evaluator.servable_caller import ServedModel

METRIC = "because@1"
_MAX_USERS = 200
_CHUNK = 64


def evaluate_reasons(log: Log, served: ServedModel, *, seed: int) -> MetricRow | None:
    """The share of first answers whose score falls once the item that spoke for them is not in the history.

    Args:
        log: The events.
        served: The candidate.
        seed: Of the bootstrap.

    Returns:
        The row of the report; ``None`` where no answer has such an item.
    """
    had, bought = log.histories.binary(), log.future.binary()
    users = np.flatnonzero((np.diff(had.indptr) > 1) & (np.diff(bought.indptr) > 0))[:_MAX_USERS]
    falls: list[bool] = []
    for start in range(0, len(users), _CHUNK):
        chunk = users[start : start + _CHUNK]
        queries = Queries.of_users(log.histories, chunk)
        names = [log.user_ids[user] for user in chunk]
        first = served.recommend(queries, exclude_seen=True, user_ids=names, now=log.test_start)
        items, speakers = first.rows[:, 0], first.reason_rows[:, 0]
        without = _without(queries, speakers)
        second = served.recommend(without, exclude_seen=True, user_ids=names, now=log.test_start)
        scores = second.as_scores(log.past.num_items)[np.arange(len(chunk)), np.maximum(items, 0)]
        has_speaker = (items >= 0) & (speakers >= 0)
        falls += (scores < first.scores[:, 0])[has_speaker].tolist()
    values = np.array(falls, np.float64)
    return mean_row(values, system=OURS, task=NOVEL, metric=METRIC, seed=seed) if len(values) else None


def evaluate_matches(judged: Judged, served: ServedModel, *, seed: int) -> MetricRow | None:
    """The share of the words named by the first answer of a search without which its score falls.

    Args:
        judged: The queries.
        served: The candidate.
        seed: Of the bootstrap.

    Returns:
        The row of the report, a mean over queries; ``None`` where no answer names a word.
    """
    shares: list[float] = []
    for start in range(0, len(judged.queries), _CHUNK):
        texts = list(judged.queries[start : start + _CHUNK])
        first = served.search(texts, spell=False)
        lines = first.matches[:, 0] if first.matches.shape[1] else np.zeros(0, object)
        named = [(row, line) for row, text in enumerate(lines) for line in text.decode().split("\n") if line]
        if not named:
            continue
        rows = np.array([row for row, _ in named])
        without = [_without_word(texts[row], line.partition("=")[0]) for row, line in named]
        scores = served.search(without, spell=False).as_scores(judged.gains.shape[1])
        falls = scores[np.arange(len(rows)), first.rows[rows, 0]] < first.scores[rows, 0]
        shares += [float(falls[rows == row].mean()) for row in np.unique(rows)]
    values = np.array(shares)
    return mean_row(values, system=OURS, task=SEARCH, metric=METRIC, seed=seed) if len(values) else None


def _without_word(text: str, word: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", " ", text, flags=re.IGNORECASE)


def _without(queries: Queries, rows: np.ndarray) -> Queries:
    """The same queries without one item of each history: int64 ``[num_queries]`` rows, -1 for none."""
    lengths = np.diff(queries.history_starts)
    keep = queries.history_items != np.repeat(rows, lengths)
    kept = np.add.reduceat(np.append(keep, False), queries.history_starts[:-1]) * (lengths > 0)
    return Queries(
        user_rows=queries.user_rows,
        history_starts=np.concatenate([[0], np.cumsum(kept)]),
        history_items=queries.history_items[keep],
        history_times=queries.history_times[keep],
        texts=queries.texts,
        num_items=queries.num_items,
    )
