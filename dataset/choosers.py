"""The users of the log, each with the times of their first and last choice."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Choosers:
    """Gathers users batch by batch, in memory that grows with them and not with the log."""

    def __init__(self) -> None:
        self._users = self._first = self._last = np.zeros(0, np.int64)

    def add(self, users: Array, times: Array) -> None:
        """Takes in the choices of a batch.

        Args:
            users: int64 `[n]`, a hash of who.
            times: int64 `[n]`, epoch seconds.
        """
        if not len(users):
            return
        users, first, last = (
            np.concatenate(parts)
            for parts in ((self._users, users), (self._first, times), (self._last, times))
        )
        order = np.argsort(users, kind="stable")
        users = users[order]
        starts = np.flatnonzero(np.diff(users, prepend=users[0] - 1))
        self._users = users[starts]
        self._first = np.minimum.reduceat(first[order], starts)
        self._last = np.maximum.reduceat(last[order], starts)

    def since(self, start: int, *, within_sessions: bool = False) -> tuple[int, int]:
        """How many users chose something at a time or later, and how many of these have a past then.

        The past is what they chose before that time; of users that are sessions, before their last moment.
        """
        is_here = self._last >= start
        begins = self._last if within_sessions else start
        return int(is_here.sum()), int((is_here & (self._first < begins)).sum())
