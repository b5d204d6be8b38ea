"""Small random event logs, and what they hold as plain Python."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from models.event_log import DAY_S, EventLog

DAY = int(DAY_S)
NOW = 20_000 * DAY


def random_log(
    num_users: int = 9, num_items: int = 11, num_events: int = 150, days: int = 120, seed: int = 0
) -> EventLog:
    """Events of the days before `NOW`, some of them several in a basket."""
    rng = np.random.default_rng(seed)
    return EventLog.of(
        user_rows=rng.integers(0, num_users, num_events),
        item_rows=rng.integers(0, num_items, num_events),
        times=NOW - DAY * rng.integers(1, days, num_events),
        weights=rng.choice([0.25, 1.0], num_events),
        kinds=rng.integers(0, 2, num_events),
        num_users=num_users,
        num_items=num_items,
    )


def events_of(log: EventLog) -> list[tuple[int, int, int, float]]:
    """User, item, time and weight of each event."""
    columns = (log.user_rows, log.item_rows, log.times, log.weights)
    return list(zip(*(values.tolist() for values in columns), strict=True))


def decayed(log: EventLog, now: int, half_life_days: float) -> np.ndarray[Any, Any]:
    """float64 ``[num_users, num_items]``, summed one event at a time."""
    total = np.zeros(log.shape)
    for user, item, time, weight in events_of(log):
        total[user, item] += weight * 0.5 ** ((now - time) / DAY_S / half_life_days)
    return total


def met(log: EventLog) -> np.ndarray[Any, Any]:
    """float64 ``[num_users, num_items]`` of ones and zeros."""
    return (decayed(log, NOW, 1e9) > 0).astype(float)


def by_user(log: EventLog) -> dict[int, list[tuple[int, int, float]]]:
    """Item, time and weight of each user's events."""
    found: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
    for user, item, time, weight in events_of(log):
        found[user].append((item, time, weight))
    return found


def merged(past: EventLog, future: EventLog) -> EventLog:
    """Both together, of the same users and items."""
    names = ("user_rows", "item_rows", "times", "weights", "kinds")
    return EventLog.of(
        **{name: np.concatenate([getattr(past, name), getattr(future, name)]) for name in names},
        num_users=past.num_users,
        num_items=past.num_items,
    )
