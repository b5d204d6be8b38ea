"""Spans of a dataset: the days, or other numbered parts, that its tables arrive in.

Events are a log: a run reads every span up to the latest, or the last few if the manifest says so. Items and
users are snapshots: a run reads the latest span alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from dataset.errors import DataError
from dataset.manifest import Manifest
from dataset.span_paths import as_glob, has_spans, span_in, span_in_words
from dataset.tables import expand_paths


def spans_of(manifest: Manifest, table: str) -> dict[int, list[str]]:
    """The files of each span of a table, in order of span; span 0 alone for a table without spans.

    Raises:
        DataError: A path has no file or not the latest span, or a file's span is no number or date.
    """
    paths: Sequence[str] = getattr(manifest, table).path
    if not has_spans(paths):
        return {0: expand_paths(paths, manifest.folder)}
    found: dict[int, list[str]] = {}
    latest = []
    for path in paths:
        spans = {file: span_in(file, path) for file in expand_paths([as_glob(path)], manifest.folder)}
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
