"""Contexts in which items were chosen, made of one user's events in order of time."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from dataset import features


@dataclasses.dataclass(frozen=True, kw_only=True)
class Events:
    """Events of one user, sorted by time.

    Attributes:
        item_rows: int64 `[n]`.
        times: int64 `[n]`, epoch seconds.
        columns: `[n]` of each column of `dataset.interaction.OF_EVENTS`: float32, or bytes as objects.
    """

    item_rows: np.ndarray
    times: np.ndarray
    columns: dict[str, np.ndarray]

    def slice(self, begin: int, end: int) -> Events:
        """The events from one position to another, without a copy."""
        return Events(
            item_rows=self.item_rows[begin:end],
            times=self.times[begin:end],
            columns={name: values[begin:end] for name, values in self.columns.items()},
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """A moment, what was known at it, and what was chosen.

    Attributes:
        split: One of `features.EVENT_SPLITS`.
        time: Epoch seconds.
        query: What was searched for, if anything.
        history_rows: int64 `[h]` distinct items chosen strictly before `time`, most recent first.
        history_counts: int64 `[h]`, at how many earlier moments each was chosen.
        targets: Positions in the user's events, one an item and kind.
    """

    split: str
    time: int
    query: bytes
    history_rows: np.ndarray
    history_counts: np.ndarray
    targets: np.ndarray


class _History:
    """Distinct items in order of their last choice. A dict keeps insertion order: the last is the latest."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, rows: np.ndarray) -> None:
        for row in dict.fromkeys(rows.tolist()):
            self._counts[row] = self._counts.pop(row, 0) + 1

    def latest(self, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
        items = list(itertools.islice(reversed(self._counts.items()), limit))
        pairs = np.array(items, np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]


def contexts(events: Events, starts: tuple[int, int], max_history: int) -> Iterator[Context]:
    """Yields a context for every moment of the log and for the start of each evaluation window.

    Choices at the same second and for the same query form one context (a basket), and none is in another's
    history, so nothing of the present or the future is in any past.

    Args:
        events: One user's, sorted by time.
        starts: When validation and test begin, epoch seconds.
        max_history: Items kept of the history of a moment. Those of the windows' starts are kept whole.
    """
    history = _History()
    windows = [(features.USERS_AT_VALIDATION, *starts), (features.USERS_AT_TEST, starts[1], None)]
    for begin, end in _moments(events.times):
        time = int(events.times[begin])
        while windows and time >= windows[0][1]:
            yield _window(events, history, *windows.pop(0))
        yield from _moment(events, history, begin, end, starts, max_history)
        history.add(events.item_rows[begin:end])
    for window in windows:
        yield _window(events, history, *window)
    end_time = int(events.times[-1]) + 1 if len(events.times) else 0
    yield _window(events, history, features.USERS_AT_END, max(end_time, starts[1]), None, empty=True)


def _moments(times: np.ndarray) -> Iterator[tuple[int, int]]:
    bounds = np.flatnonzero(np.diff(times)) + 1
    edges = [0, *bounds.tolist(), len(times)] if len(times) else []
    return itertools.pairwise(edges)


def _moment(
    events: Events, history: _History, begin: int, end: int, starts: tuple[int, int], max_history: int
) -> Iterator[Context]:
    rows, counts = history.latest(max_history)
    time = int(events.times[begin])
    split = features.EVENT_SPLITS[int(np.searchsorted(starts, time, side="right"))]
    queries = events.columns[features.QUERY][begin:end]
    for query in dict.fromkeys(queries.tolist()):
        targets = begin + np.flatnonzero(queries == query)
        yield Context(
            split=split,
            time=time,
            query=query,
            history_rows=rows,
            history_counts=counts,
            targets=_distinct(events, targets),
        )


def _window(
    events: Events, history: _History, split: str, start: int, end: int | None, *, empty: bool = False
) -> Context:
    rows, counts = history.latest(None)
    inside = events.times >= start
    if end is not None:
        inside &= events.times < end
    targets = np.zeros(0, np.int64) if empty else _distinct(events, np.flatnonzero(inside))
    return Context(
        split=split, time=start, query=b"", history_rows=rows, history_counts=counts, targets=targets
    )


def _distinct(events: Events, positions: np.ndarray) -> np.ndarray:
    """The first position of each item and kind."""
    kinds = events.columns[features.KIND][positions]
    pairs = zip(events.item_rows[positions].tolist(), kinds.tolist(), strict=True)
    first: dict[tuple[int, bytes], int] = {}
    for position, pair in zip(positions.tolist(), pairs, strict=True):
        first.setdefault(pair, position)
    return np.array(list(first.values()), np.int64)
