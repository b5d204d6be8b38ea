"""Records of CSV: where each ends, and quotations that take in more than their own value.

RFC 4180 lets a value in quotation marks hold line breaks, so that one forgotten mark swallows the rows up to
the next. Arrow and Python read such a file without a word; here it is found.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

_NEWLINE, _RETURN, _QUOTE, _BACKSLASH = b'\n\r"\\'
_SHAPE_LINES = 200


class Fault(NamedTuple):
    """A quotation that is wrong: where it opens, and what it does, as the end of "Got one that …"."""

    position: int
    got: str


class Records:
    r"""The records of a block that begins with a whole one; lines end in ``\n``, ``\r\n`` or ``\r``.

    Args:
        text: The block.
        delimiter: Between two values; one byte.
        has_quotes: Whether quotation marks quote.

    Attributes:
        ends: int64 `[num_records]`, the last position of each record's end of line, blank lines included.
        open_at: Where a quotation opens that does not close in the block; ``None`` if all do.
    """

    def __init__(self, text: bytes, delimiter: bytes, *, has_quotes: bool) -> None:
        self._text, self._delimiter = text, delimiter[0]
        self._bytes = np.frombuffer(text, np.uint8)
        is_newline = self._bytes == _NEWLINE
        if b"\r" in text:
            is_newline |= (self._bytes == _RETURN) & ~np.append(is_newline[1:], False)
        self._newlines = np.flatnonzero(is_newline)
        self._opens = self._closes = self._first_line = self._last_line = np.zeros(0, np.int64)
        self.ends = self._newlines
        self.open_at: int | None = None
        if has_quotes and b'"' in text:
            self._find_quotations()
            self._find_ends()

    def _find_ends(self) -> None:
        """Takes the ends of line inside quotations off the ends of records."""
        num_closed = len(self._closes)
        self._first_line = np.searchsorted(self._newlines, self._opens[:num_closed])
        self._last_line = np.searchsorted(self._newlines, self._closes)
        # One more quotation is open from where each begins to where it ends.
        steps = np.zeros(len(self._newlines) + 1, np.int64)
        if (self._last_line > self._first_line).any():
            np.add.at(steps, self._first_line, 1)
            np.add.at(steps, self._last_line, -1)
        if num_closed < len(self._opens):
            self.open_at = int(self._opens[-1])
            steps[np.searchsorted(self._newlines, self.open_at)] += 1
        if steps.any():
            self.ends = self._newlines[np.cumsum(steps)[:-1] == 0]

    def _find_quotations(self) -> None:
        """Sets the positions of the marks that open and close, in order."""
        # A pair of marks inside a quotation is one mark, so that only a run of an odd number of them opens or
        # closes. A run opens if a value begins with it and no quotation is open; any run closes an open one.
        # So those open that are the first, third, … at the start of a value since the last that is elsewhere.
        quotes = np.flatnonzero(self._bytes == _QUOTE)
        first = np.flatnonzero(np.diff(quotes, prepend=-2) != 1)
        lengths = np.diff(first, append=len(quotes))
        is_odd = lengths % 2 == 1
        runs = quotes[first[is_odd]]
        begins_value = (runs == 0) | self._bounds_value(runs - 1)
        order = np.arange(len(runs))
        last_elsewhere = np.maximum.accumulate(np.where(begins_value, -1, order))
        is_opening = (order - last_elsewhere) % 2 == 1
        is_closing = np.concatenate([[False], is_opening])[: len(runs)]
        self._opens = runs[is_opening]
        self._closes = (runs + lengths[is_odd] - 1)[is_closing]

    def _bounds_value(self, positions: Any) -> Any:
        """Whether there is a delimiter or an end of line."""
        there = self._bytes[positions]
        return (there == self._delimiter) | (there == _NEWLINE) | (there == _RETURN)

    def number_of(self, position: int) -> int:
        """The number of the record at a position, from 1; blank lines do not count."""
        ends = self.ends[self.ends < position]
        starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
        is_blank = (starts == ends) | ((starts == ends - 1) & (self._bytes[starts] == _RETURN))
        return int(np.count_nonzero(~is_blank)) + 1

    def fault(self, num_columns: int) -> Fault | None:
        """The first quotation that closes where no value ends, or whose lines are rows of their own."""
        closes = self._closes
        opens = self._opens[: len(closes)]
        ends_value = closes + 1 == len(self._bytes)
        ends_value |= self._bounds_value(np.minimum(closes + 1, len(self._bytes) - 1))
        first_line, last_line = self._first_line, self._last_line
        num_breaks = last_line - first_line
        faults = [
            Fault(int(opens[i]), f"runs over {num_breaks[i]:,} ends of line into another value")
            for i in np.flatnonzero(~ends_value & (num_breaks > 0))[:1]
        ]
        faults += [
            Fault(int(opens[i]), "holds a mark after a backslash")
            for i in np.flatnonzero(~ends_value & (self._bytes[closes - 1] == _BACKSLASH))[:1]
        ]
        swallows = ends_value & (num_breaks > 0)
        if num_columns > 1 and swallows.any():
            faults += self._swallowing(
                opens[swallows], first_line[swallows], last_line[swallows], num_columns
            )
        return min(faults, default=None)

    def _swallowing(self, opens: Any, first_line: Any, last_line: Any, num_columns: int) -> list[Fault]:
        """The first quotation that closes well, but of whose lines each is a whole row and looks like one."""
        delimiter = bytes([self._delimiter])
        bounds = np.concatenate([[-1], self._newlines, [len(self._bytes)]])
        delimiters = np.flatnonzero(self._bytes == self._delimiter)
        is_whole = np.diff(np.searchsorted(delimiters, bounds)) == num_columns - 1
        num_whole = np.concatenate([[0], np.cumsum(is_whole)])
        only_whole = num_whole[last_line + 1] - num_whole[first_line] == last_line - first_line + 1
        if not only_whole.any():
            return []

        depth = np.zeros(len(is_whole) + 1, np.int64)
        np.add.at(depth, first_line, 1)
        np.add.at(depth, last_line + 1, -1)
        outside = np.flatnonzero(is_whole & (np.cumsum(depth)[:-1] == 0))[:_SHAPE_LINES]

        def shapes_of(line: int) -> list[bytes]:
            values = self._text[bounds[line] + 1 : bounds[line + 1]].split(delimiter)
            return [_shape(value) for value in values]

        usual = [set(column) for column in zip(*map(shapes_of, outside), strict=True)]
        for i in np.flatnonzero(only_whole):
            column = self._text.count(delimiter, bounds[first_line[i]] + 1, int(opens[i]))
            taken = [shapes_of(line) for line in range(first_line[i] + 1, last_line[i] + 1)]
            if usual and all(
                shape in usual[n] for shapes in taken for n, shape in enumerate(shapes) if n != column
            ):
                return [Fault(int(opens[i]), f"takes in {len(taken):,} lines that are whole rows")]
        return []


def _shape(value: bytes) -> bytes:
    """What a value looks like: its runs of digits and of letters, and every other character."""
    return re.sub(rb"[A-Za-z\x80-\xff]+", b"a", re.sub(rb"\d+", b"9", value))
