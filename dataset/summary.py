"""The summary of a checked dataset, as data and for people."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TextIO

from dataset.findings import Findings
from dataset.manifest import Manifest
from dataset.spans import files_read, spans_in_words
from dataset.tables import reading_note


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventSummary:
    """Of the events that can be used: times in epoch seconds, counts by kind, and choices by split.

    Of the users who chose something in the test window, `num_measured` chose something before it too.
    """

    num_users: int
    num_items: int
    first_time: int
    last_time: int
    starts: tuple[int, int]
    kinds: dict[str, int]
    splits: dict[str, int]
    num_test_users: int
    num_measured: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgmentSummary:
    """Of the judgments that can be used: queries by split."""

    num_queries: int
    num_items: int
    splits: dict[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a dataset holds, what is wrong with it, and how many lines each of its files of lines has.

    ``num_listed`` items are available now; ``None`` where the manifest names no column that says so.
    """

    name: str
    num_items: int
    num_listed: int | None
    num_users: int | None
    events: EventSummary | None
    judgments: JudgmentSummary | None
    findings: Findings
    lines: dict[str, int]
    seconds: float


def day(seconds: int) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%d %H:%M" if seconds % 86400 else "%Y-%m-%d")


def print_report(report: Report, manifest: Manifest, stream: TextIO) -> None:
    said = f"text {', '.join(manifest.items.text)}"
    if report.num_listed is not None:
        said += f"; {report.num_listed:,} available now"
    lines = [("items", report.num_items, _noted(said, report, manifest, "items"))]
    if report.num_users is not None:
        lines.append(("users", report.num_users, _noted("", report, manifest, "users")))
    if report.events is not None:
        events, starts = report.events, report.events.starts
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in list(events.kinds.items())[:6])
        covered = f"{events.num_users:,} users, {events.num_items:,} items; {kinds}"
        lines.append(("events", sum(events.kinds.values()), _noted(covered, report, manifest, "events")))
        spans = (
            f"{day(events.first_time)} to {day(starts[0])}",
            f"{day(starts[0])} to {day(starts[1])}",
            f"{day(starts[1])} to {day(events.last_time)}; {events.num_measured:,} of "
            f"{events.num_test_users:,} users have a past",
        )
        for (name, size), span in zip(events.splits.items(), spans, strict=True):
            lines.append((f"  {name}", size, span))
    if report.judgments is not None:
        judgments = report.judgments
        covered = _noted(f"{judgments.num_items:,} items", report, manifest, "judgments")
        lines.append(("judgments", report.findings.rows["judgments"], covered))
        lines.append(("queries", judgments.num_queries, ""))
        lines.extend((f"  {name}", size, "") for name, size in judgments.splits.items())
    print(f"{report.name}: read in {report.seconds:.1f} s", file=stream)
    for name, count, note in lines:
        print(f"  {name:<14}{count:>12,}  {note}".rstrip(), file=stream)
    past = report.findings.past_limits(manifest.limits)
    for finding in report.findings.findings:
        share, limit = report.findings.share(finding), getattr(manifest.limits, finding.rule)
        verdict = "past its limit" if finding in past else "within its limit"
        print(
            f"  {finding.rule:<18}{finding.count:>8,} of {finding.table}, {share:.2%}, {verdict} of "
            f"{limit:.2%}: {finding.sentence()}",
            file=stream,
        )
    if not report.findings.findings:
        print("  no findings", file=stream)


def _noted(note: str, report: Report, manifest: Manifest, table: str) -> str:
    files = files_read(manifest, table)
    num_lines = sum(report.lines.get(file, 0) for file in files)
    lines = f"{report.findings.rows[table]:,} rows of {num_lines:,} lines" if num_lines else ""
    reading = reading_note(files[0], getattr(manifest, table).format)
    return "; ".join(filter(None, (note, spans_in_words(manifest, table), lines, reading)))
