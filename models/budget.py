"""The budget of training: how long it may take, and what was left out to keep to it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable


class Budget:
    """A stretch of wall-clock time that begins when this is made.

    A budget that is never spent changes nothing: training under one seed is then the same every time.

    Args:
        minutes: Its length; 0 for no end.
        clock: Seconds that only grow.

    Attributes:
        cuts: What was left out, one sentence each.

    Example:
        >>> Budget(0).left_s()
        inf
    """

    def __init__(self, minutes: float = 0.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + 60.0 * minutes if minutes else math.inf
        self.cuts: list[str] = []

    def left_s(self) -> float:
        """Seconds until the end; below 0 after it, infinite without one."""
        return self._end - self._clock()

    def share(self, share: float) -> Budget:
        """A budget of a share of what is left, from 0 to 1, with the cuts in common."""
        part = Budget(clock=self._clock)
        if not self.is_endless:
            part._end = self._clock() + share * max(self.left_s(), 0.0)
        part.cuts = self.cuts
        return part

    @property
    def is_endless(self) -> bool:
        """Whether there is no end."""
        return math.isinf(self._end)

    @property
    def is_spent(self) -> bool:
        """Whether the end has come."""
        return self.left_s() <= 0.0

    def cut(self, sentence: str) -> None:
        """Notes, and logs, what is left out for lack of time."""
        self.cuts.append(sentence)
        logging.getLogger(__name__).warning("train.max_minutes: %s", sentence)
