"""The context of a question: who asks, what they chose before, and when."""

from __future__ import annotations

import datetime
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.client.arguments import Rows, Tensors, batch_size, id_tensor, ids_tensor

# Epoch seconds, or a datetime; one without a zone is UTC.
Time = float | datetime.datetime

# The last second of the year 9999. Milliseconds of our days lie beyond it, so they are found out.
_LAST = 253_402_300_799


def context_tensors(
    batch: int,
    user_ids: Sequence[str] | None,
    histories: Rows | None,
    history_times: Sequence[Sequence[Time]] | None = None,
    now: Time = 0,
) -> Tensors:
    """Makes the inputs that say who asks, and when; times are epoch seconds, 0 where none is given.

    Returns:
        ``user_id`` string ``[batch]``, ``history`` string and ``history_times`` int64
        ``[batch, 1 + longest]``, and ``now`` int64 ``[batch]``.

    Raises:
        ValueError: If there is not one time for each item of the histories, or if one is no time.
    """
    history = ids_tensor("histories", histories, batch)
    return {
        "user_id": id_tensor("user_ids", user_ids, batch),
        "history": history,
        "history_times": _times_tensor(history_times, histories, history.shape),
        **now_tensors(batch, now),
    }


def now_tensors(batch: int, now: Time) -> Tensors:
    """The moment that is asked for, as the input of that name: int64 ``[batch]``, epoch seconds.

    Raises:
        ValueError: If it is no time.
    """
    return {"now": np.full(batch, epoch_seconds("now", now), np.int64)}


def epoch_seconds(name: str, value: Time) -> int:
    """The whole seconds since 1970, fractions dropped; 0 is an unknown time.

    Args:
        name: What to call the value in an error.
        value: Epoch seconds, or a datetime.

    Raises:
        ValueError: If the value is neither, or if it is not between 1970 and 9999.
    """
    seconds: float = math.nan
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        seconds = aware.timestamp()
    elif isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_):
        seconds = float(value)
    if not 0 <= seconds < _LAST + 1:
        got = value.isoformat() if isinstance(value, datetime.datetime) else repr(value)
        raise ValueError(f"{name} must be epoch seconds or a datetime, from 1970 to 9999. Got {got}.")
    return math.floor(seconds)


def _times_tensor(
    history_times: Sequence[Sequence[Time]] | None, histories: Rows | None, shape: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    """The time of each item of the histories, int64, aligned with their tensor; 0 where none is given.

    Args:
        history_times: One list of times per row.
        histories: One list of item ids per row.
        shape: Of the tensor of the histories, whose first column is empty.

    Raises:
        ValueError: If there is not one time for each item, or if one is no time.
    """
    times = np.zeros(shape, np.int64)
    if history_times is None:
        return times
    if histories is None:
        raise ValueError("history_times must come with histories. Got no histories.")
    batch_size(histories=histories, history_times=history_times)
    for number, (row, items) in enumerate(zip(history_times, histories, strict=True)):
        if isinstance(row, str | bytes) or not hasattr(row, "__len__"):
            raise ValueError(f"history_times must have one list of times per row. Got {row!r} as a row.")
        if len(row) != len(items):
            raise ValueError(
                "history_times must have one time for each item of histories. "
                f"Got {len(row)} for the {len(items)} items of row {number}."
            )
        times[number, 1 : 1 + len(row)] = [epoch_seconds("A time of history_times", time) for time in row]
    return times
