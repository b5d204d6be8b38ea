"""One line on a terminal that says how much of a long piece of work is done, and how long the rest takes."""

from __future__ import annotations

import time
from typing import TextIO

_EVERY_S = 0.5


class Progress:
    """Progress through work whose amount is known.

    Nothing is written to a stream that is not a terminal, nor by work that is done within half a second.

    Args:
        stream: Where the line goes.
        total: The amount of work, in any unit; 0 if it is not known, and then nothing is written.
    """

    def __init__(self, stream: TextIO, *, total: float) -> None:
        self._stream, self._total = stream, total
        self._is_shown = stream.isatty() and total > 0
        self._done = 0.0
        self._started = self._written = time.monotonic()
        self._width = 0

    def add(self, amount: float) -> None:
        """Counts work as done."""
        self._done += amount
        now = time.monotonic()
        if self._is_shown and now - self._written >= _EVERY_S:
            self._written = now
            share = min(self._done / self._total, 1.0)
            left_s = (now - self._started) * (1 - share) / max(share, 1e-9)
            self._write(f"  {share:4.0%}, about {left_s:,.0f} s left")

    def clear(self) -> None:
        """Takes the line away."""
        if self._width:
            self._write("")
            self._stream.write("\r")

    def _write(self, line: str) -> None:
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)
