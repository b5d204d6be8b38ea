"""Statistics of each item before a moment: how many users, how lately, how often again, which season."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.channels.history import Horizon
from models.event_log import DAY_S, EventLog

Array = np.ndarray[Any, Any]

YEAR_DAYS = 365.0
NAMES = (
    "users_short",
    "users_long",
    "users_ever",
    "new_users",
    "trend",
    "age_days",
    "repeat_rate",
    "season",
)


def item_statistics(log: EventLog, now: int, horizon: Horizon) -> Array:
    """Counts what happened before ``now``.

    Args:
        log: Events; none at or after ``now`` is looked at.
        now: Epoch seconds.
        horizon: The window, whose thirds are the spans of time.

    Returns:
        float32 ``[num_items, 8]``, in the order of `NAMES`: users in a third of a window, in four thirds, and
        ever; users who chose it first in the last two thirds; the logarithm of short over long popularity;
        days since its first event; the share of its users who came back; and the logarithm of how its users
        grew from the window before to the window after this day, a year ago (0 without such a log).
    """
    past = log.between(None, now)
    window = horizon.window
    ages = (now - past.times) / DAY_S
    pairs = past.user_rows.astype(np.int64) * log.num_items + past.item_rows
    _, first = np.unique(pairs, return_index=True)
    users_short, users_long = (_users(past, ages < window * share) for share in (1 / 3, 4 / 3))
    users_ever = _users(past, ages >= 0)
    new = np.bincount(past.item_rows[first[ages[first] < window * 2 / 3]], minlength=log.num_items)
    again = np.asarray((past.matrix() > 1).sum(axis=0)).ravel()
    age = np.zeros(log.num_items)
    np.maximum.at(age, past.item_rows, ages)
    season = np.zeros(log.num_items)
    if len(past) and ages.max() > YEAR_DAYS + window:
        to_come = _users(past, (ages <= YEAR_DAYS) & (ages > YEAR_DAYS - window))
        before = _users(past, (ages <= YEAR_DAYS + window) & (ages > YEAR_DAYS))
        season = np.log((to_come + 5) / (before + 5))
    columns = {
        "users_short": users_short,
        "users_long": users_long,
        "users_ever": users_ever,
        "new_users": new,
        "trend": np.log((users_short + 2) / (users_long / 4 + 2)),
        "age_days": age,
        "repeat_rate": (again + 1) / (users_ever + 10),
        "season": season,
    }
    return np.stack([columns[name] for name in NAMES], axis=1).astype(np.float32)


def _users(log: EventLog, keep: Array) -> Array:
    """How many users met each item in the events to keep: float ``[num_items]``."""
    pairs = np.unique(log.user_rows[keep].astype(np.int64) * log.num_items + log.item_rows[keep])
    return np.bincount(pairs % log.num_items, minlength=log.num_items).astype(np.float64)
