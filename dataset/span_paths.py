"""Paths with spans: which part of a path is the day, or other number, of a file, in TFX's notation."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

from dataset.errors import DataError

_NUMBER = re.compile(r"\{SPAN(?::(\d+))?\}")
_DATE_PARTS = {"{YYYY}": 4, "{MM}": 2, "{DD}": 2}
# What `files.match_files` takes for more than itself.
_PLACES = re.compile(r"(\{[A-Z:0-9]+\}|\*\*/?|[*?]|\[[^\]]+\])")
_EPOCH = datetime.date(1970, 1, 1)


def span_in_words(span: int, path: str) -> str:
    """A span as its path has it: a number or a date."""
    return str(span) if _NUMBER.search(path) else str(_EPOCH + datetime.timedelta(span))


def has_spans(paths: Sequence[str]) -> bool:
    """Whether paths, of which `span_mistake` finds none, have spans."""
    return any(_NUMBER.search(path) or "{DD}" in path for path in paths)


def span_mistake(paths: Sequence[str]) -> str:
    """The rule that the placeholders of a table's paths break, "" for none; TFX has the same rules."""
    kinds = set()
    for path in paths:
        numbers, dates = len(_NUMBER.findall(path)), [path.count(part) for part in _DATE_PARTS]
        if numbers > 1 or (any(dates) and dates != [1, 1, 1]) or (numbers and any(dates)):
            return "must have one {SPAN}, or each of {YYYY}, {MM} and {DD} once"
        kinds.add("number" if numbers else "date" if any(dates) else "none")
    return "" if len(kinds) <= 1 else "must have spans of one kind in every path, or in none"


def as_glob(path: str) -> str:
    """A path that matches the files of every span."""
    path = _NUMBER.sub("*", path)
    for part in _DATE_PARTS:
        path = path.replace(part, "*")
    return path


def span_in(file: str, path: str) -> int:
    """The span of a file that a path matches: its number, or its day since 1970.

    Raises:
        DataError: If it is no number or date, or has other zeros in front than the path says.
    """
    from dataset.files import shown

    number = _NUMBER.search(path)
    expression = "".join(_expression(token) for token in _PLACES.split(path))
    match = re.search(f"(?:^|/){expression.lstrip('/')}$", file)
    try:
        if match is None:
            raise ValueError(file)
        if number is None:
            year, month, day = (int(match[name]) for name in ("YYYY", "MM", "DD"))
            return (datetime.date(year, month, day) - _EPOCH).days
        span = int(match["SPAN"])
    except ValueError:
        kind = "a date" if number is None else "a number"
        raise DataError(f"{shown(file)} must have {kind} where its path, {path}, has its span.") from None
    if match["SPAN"] != str(span).zfill(int(number[1] or 0)):
        raise DataError(
            f"{shown(file)} must have a span without leading zeros. Got {match['SPAN']}; write "
            f"{{SPAN:{len(match['SPAN'])}}} in the path if all of them have as many digits."
        )
    return span


def _expression(token: str) -> str:
    """The regular expression of a part of a path."""
    if number := _NUMBER.fullmatch(token):
        return f"(?P<SPAN>[^/]{{{number[1]}}})" if number[1] else "(?P<SPAN>[^/]*)"
    if token in _DATE_PARTS:
        return f"(?P<{token[1:-1]}>.{{{_DATE_PARTS[token]}}})"
    if token.startswith("[") and token.endswith("]"):
        return token.replace("[!", "[^", 1)
    # Folders, or none; on a bucket, where it is one at least, no other file is found.
    globs = {"*": "[^/]*", "?": "[^/]", "**": ".*", "**/": "(?:.*/)?"}
    return globs.get(token) or re.escape(token)
