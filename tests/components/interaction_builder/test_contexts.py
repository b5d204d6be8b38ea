from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from components.interaction_builder.contexts import Context, Events, contexts
from dataset import features

Event = tuple[int, int, bytes, bytes]  # time, item row, kind, query

STARTS = (60, 80)


def _events(log: list[Event]) -> Events:
    times, items, kinds, queries = zip(*log, strict=True) if log else ((), (), (), ())
    return Events(
        item_rows=np.array(items, np.int64),
        times=np.array(times, np.int64),
        columns={features.KIND: np.array(kinds, object), features.QUERY: np.array(queries, object)},
    )


def _random_log(seed: int) -> list[Event]:
    """Few seconds, items, kinds and queries, so that everything collides."""
    rng = np.random.default_rng(seed)
    num = int(rng.integers(0, 30))
    kinds, queries = [b"view", b"purchase"], [b"", b"", b"lamp", b"chair"]
    log = [
        (
            int(rng.integers(40, 100)) // 4 * 4,
            int(rng.integers(0, 6)),
            kinds[rng.integers(2)],
            queries[rng.integers(4)],
        )
        for _ in range(num)
    ]
    return sorted(log)


def _plain(context: Context) -> dict[str, Any]:
    return {
        "split": context.split,
        "time": context.time,
        "query": context.query,
        "history": list(zip(context.history_rows.tolist(), context.history_counts.tolist(), strict=True)),
        "targets": context.targets.tolist(),
    }


def _reference_history(log: list[Event], before: int, limit: int | None) -> list[tuple[int, int]]:
    """Straight from the definition: for each item the moments it was chosen at, the latest first."""
    past = [(time, row) for time, row, _, _ in log if time < before]
    moments = {row: sorted({t for t, r in past if r == row}) for _, row in past}

    def recency(row: int) -> tuple[int, int]:
        last = moments[row][-1]
        return last, min(i for i, (t, r) in enumerate(past) if t == last and r == row)

    recent_first = sorted(moments, key=recency, reverse=True)
    return [(row, len(moments[row])) for row in recent_first][:limit]


def _reference_targets(log: list[Event], wanted: Any) -> list[int]:
    kept: dict[tuple[int, bytes], int] = {}
    for position, event in enumerate(log):
        if wanted(event) and (event[1], event[2]) not in kept:
            kept[event[1], event[2]] = position
    return list(kept.values())


def _reference(log: list[Event], starts: tuple[int, int], max_history: int) -> list[dict[str, Any]]:
    found = []
    for time, query in dict.fromkeys((event[0], event[3]) for event in log):
        split = "test" if time >= starts[1] else "validation" if time >= starts[0] else "train"
        found.append(
            {
                "split": split,
                "time": time,
                "query": query,
                "history": _reference_history(log, time, max_history),
                "targets": _reference_targets(log, lambda e, t=time, q=query: (e[0], e[3]) == (t, q)),
            }
        )
    end = max([starts[1], *(event[0] + 1 for event in log)])
    windows = [
        ("users_at_validation", starts[0], range(starts[0], starts[1])),
        ("users_at_test", starts[1], range(starts[1], end)),
        ("users_at_end", end, range(0)),
    ]
    for split, start, window in windows:
        found.append(
            {
                "split": split,
                "time": start,
                "query": b"",
                "history": _reference_history(log, start, None),
                "targets": _reference_targets(log, lambda e, w=window: e[0] in w),
            }
        )
    return found


def _in_order(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda c: (c["split"], c["time"], c["query"]))


@pytest.mark.parametrize("max_history", [1, 3, 100])
def test_contexts_equal_the_definition(max_history: int) -> None:
    for seed in range(150):
        log = _random_log(seed)
        found = [_plain(context) for context in contexts(_events(log), STARTS, max_history)]
        assert _in_order(found) == _in_order(_reference(log, STARTS, max_history)), log


def test_items_of_a_basket_are_not_in_each_others_history() -> None:
    log = [(10, 1, b"buy", b""), (10, 2, b"buy", b"lamp"), (10, 3, b"buy", b""), (11, 1, b"buy", b"")]

    found = [c for c in contexts(_events(log), STARTS, 10) if c.split == features.TRAIN]

    assert [(c.query, c.targets.tolist(), c.history_rows.tolist()) for c in found] == [
        (b"", [0, 2], []),
        (b"lamp", [1], []),
        (b"", [3], [3, 2, 1]),
    ]


def test_history_counts_moments_and_not_rows() -> None:
    log = [(10, 1, b"buy", b""), (10, 1, b"view", b""), (20, 1, b"buy", b""), (30, 2, b"buy", b"")]

    last = [c for c in contexts(_events(log), STARTS, 10) if c.split == features.TRAIN][-1]

    assert (last.history_rows.tolist(), last.history_counts.tolist()) == ([1], [2])


@pytest.mark.parametrize(("start", "split"), list(itertools.product(STARTS, ["moment", "window"])))
def test_event_at_a_start_is_after_it(start: int, split: str) -> None:
    found = {c.split: c for c in contexts(_events([(start, 5, b"buy", b"")]), STARTS, 10)}
    after = {
        60: (features.VALIDATION, features.USERS_AT_VALIDATION),
        80: (features.TEST, features.USERS_AT_TEST),
    }
    context = found[after[start][split == "window"]]

    assert context.targets.tolist() == [0]
    assert context.history_rows.tolist() == []


def test_user_without_events_has_an_example_at_the_end_with_nothing_in_it() -> None:
    last = list(contexts(_events([]), STARTS, 10))[-1]

    assert last.split == features.USERS_AT_END
    assert last.time == STARTS[1]
    assert not len(last.history_rows)
    assert not len(last.targets)


def test_future_changes_no_context_before_it() -> None:
    for seed in range(50):
        log = _random_log(seed)
        for start, splits in ((60, ("train", "users_at_validation")), (80, ("validation", "users_at_test"))):
            future = [
                (t, 5 - row, kind, b"new") if t >= start else (t, row, kind, q) for t, row, kind, q in log
            ]
            earlier = {features.TRAIN, features.VALIDATION} if start == 80 else {features.TRAIN}
            before, after = (
                [_plain(c) for c in contexts(_events(sorted(x)), STARTS, 10)] for x in (log, future)
            )
            assert [c for c in before if c["split"] in earlier] == [c for c in after if c["split"] in earlier]
            windows = [[c["history"] for c in x if c["split"] in splits] for x in (before, after)]
            assert windows[0] == windows[1]
