"""Spans: the days, or other numbered parts, that a table arrives in, as TFX's ExampleGen counts them.

Events are a log: a run reads every span up to the latest, or the last few if the manifest says so. Items and
users are snapshots: a run reads the latest span alone.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataset.errors import DataError

if TYPE_CHECKING:
    from dataset.manifest import Manifest

_NUMBER = re.compile(r"\{SPAN(?::(\d+))?\}")
_DATE_PARTS = {"{YYYY}": 4, "{MM}": 2, "{DD}": 2}
# What `files.match_files` takes for more than itself.
_PLACES = re.compile(r"(\{[A-Z:0-9]+\}|\*\*/?|[*?]|\[[^\]]+\])")
_EPOCH = datetime.date(1970, 1, 1)


def spans_of(manifest: Manifest, table: str) -> dict[int, list[str]]:
    """The files of each span of a table, in order of span; span 0 alone for a table without spans.

    Raises:
        DataError: A path has no file or not the latest span, or a file's span is no number or date.
    """
    # Only here, so that a manifest can be read without pyarrow.
    from dataset.tables import expand_paths

    paths: Sequence[str] = getattr(manifest, table).path
    if not has_spans(paths):
        return {0: expand_paths(paths, manifest.folder)}
    found: dict[int, list[str]] = {}
    latest = []
    for path in paths:
        spans = {file: _span_in(file, path) for file in expand_paths([_as_glob(path)], manifest.folder)}
        for file, span in spans.items():
            found.setdefault(span, []).append(file)
        latest.append(max(spans.values()))
    if min(latest) < max(latest):
        path = paths[latest.index(min(latest))]
        first, last = (span_in_words(span, path) for span in (min(latest), max(latest)))
        raise DataError(
            f"{table}.path must have the same latest span in each of its paths. Got {first} for {path} and "
            f"{last} elsewhere; add the files that are missing."
        )
    return dict(sorted(found.items()))


def spans_read(manifest: Manifest, table: str, *, last: int | None = None) -> dict[int, list[str]]:
    """The spans a run reads, with their files.

    Args:
        manifest: The dataset.
        table: ``items``, ``users``, ``events`` or ``judgments``.
        last: The span to read up to; the latest if it is left out.

    Raises:
        DataError: As `spans_of`.
    """
    spans = spans_of(manifest, table)
    known = [span for span in spans if last is None or span <= last]
    window = manifest.events.spans if table == "events" and manifest.events else 1
    return {span: spans[span] for span in known[-window if window else None :]}


def files_read(manifest: Manifest, table: str, *, last: int | None = None) -> list[str]:
    """The files a run reads, as `spans_read` finds them."""
    return [file for files in spans_read(manifest, table, last=last).values() for file in files]


def spans_in_words(manifest: Manifest, table: str) -> str:
    """Which spans of a table a run reads, for people; "" for a table without."""
    paths = getattr(manifest, table).path
    if not has_spans(paths):
        return ""
    spans = list(spans_read(manifest, table))
    names = [span_in_words(span, paths[0]) for span in (spans[0], spans[-1])]
    return f"span {names[0]}" if len(spans) == 1 else f"{len(spans)} spans, {names[0]} to {names[1]}"


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


def _as_glob(path: str) -> str:
    path = _NUMBER.sub("*", path)
    for part in _DATE_PARTS:
        path = path.replace(part, "*")
    return path


def _span_in(file: str, path: str) -> int:
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
