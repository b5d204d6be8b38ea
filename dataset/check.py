"""Validation of a whole dataset before anything is trained: every table streamed once and cross-checked."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset import columns, features
from dataset.choosers import Choosers
from dataset.columns import normalised_batches
from dataset.contract import EventSplit, EventsTable, JudgmentsTable
from dataset.errors import DataError
from dataset.files import num_bytes, shown
from dataset.findings import NUM_EXAMPLES, Example, Finding, Findings
from dataset.kinds import is_positive
from dataset.legibility import TextReader, TextSample
from dataset.manifest import Manifest
from dataset.progress import Progress
from dataset.raw_rows import Normalised
from dataset.repeats import RepeatedEvents, RepeatedJudgments, text_hashes
from dataset.spans import files_read
from dataset.splits import SPLITS, event_splits, event_starts, judgment_splits
from dataset.summary import EventSummary, JudgmentSummary, Report, day, print_report
from dataset.tables import column_names, expand_paths

_MIN_ROWS = 2
# A share of the users of the test window above which hardly anybody can be measured.
_MOST_STRANGERS = 0.9


def check_dataset(manifest: Manifest, *, stream: TextIO, reader: TextReader | None = None) -> Report:
    """Checks every table against the manifest and each other.

    Memory holds the ids of items and users, and counters; with a split by shares of time also the times.

    Args:
        manifest: The dataset.
        stream: Where the summary for people goes; it is written before a limit stops the check.
        reader: How the encoder reads the texts of items; ``None`` passes over what it would find.

    Raises:
        DataError: A file or column is missing, a table is empty, a finding is past its limit, or a split has
            no rows.
    """
    started = time.monotonic()
    files = _files(manifest)
    progress = Progress(stream, total=sum(num_bytes(file) for found in files.values() for file in found))
    meter = _Meter(progress)
    sample = TextSample(manifest.items)
    item_ids, findings = _ids(manifest, files, "items", meter, sample)
    if reader is not None:
        findings += sample.findings(reader)
    user_ids = None
    if manifest.users is not None:
        user_ids, found = _ids(manifest, files, "users", meter)
        findings += found
    events = judgments = None
    if manifest.events is not None:
        events, found = _events(manifest, manifest.events, files["events"], item_ids, user_ids, meter)
        findings += found
    if manifest.judgments is not None:
        judgments, found = _judgments(manifest, manifest.judgments, files["judgments"], item_ids, meter)
        findings += found
    progress.clear()
    report = Report(
        name=manifest.name,
        num_items=len(item_ids),
        num_listed=meter.num_listed,
        num_users=None if user_ids is None else len(user_ids),
        events=events,
        judgments=judgments,
        findings=findings,
        lines=dict(meter.lines),
        seconds=time.monotonic() - started,
    )
    print_report(report, manifest, stream)
    findings.raise_past(manifest.limits)
    _require_splits(report, manifest)
    return report


def check_items(manifest: Manifest, *, stream: TextIO) -> None:
    """Checks the catalogue alone, by the same rules.

    Raises:
        DataError: A file or column is missing, the table is empty, or a finding is past its limit.
    """
    started = time.monotonic()
    files = files_read(manifest, "items")
    progress = Progress(stream, total=sum(num_bytes(file) for file in files))
    meter = _Meter(progress)
    ids, findings = _ids(manifest, {"items": files}, "items", meter)
    progress.clear()
    report = Report(
        name=manifest.name,
        num_items=len(ids),
        num_listed=meter.num_listed,
        num_users=None,
        events=None,
        judgments=None,
        findings=findings,
        lines=dict(meter.lines),
        seconds=time.monotonic() - started,
    )
    print_report(report, manifest, stream)
    findings.raise_past(manifest.limits)


class _Meter:
    """What is read: bytes for the line of progress, lines by file, and items that are available now."""

    def __init__(self, progress: Progress) -> None:
        self.lines = Counter[str]()
        self.num_listed: int | None = None
        self.of_reading: dict[str, Any] = {"on_bytes": progress.add, "on_lines": self._add_lines}

    def count_listed(self, batch: pa.RecordBatch) -> None:
        """Counts those of some canonical items, where columns say it."""
        now, said = int(time.time()), []
        for name, is_open in (
            (features.AVAILABLE, lambda flags: flags == 1),
            (features.AVAILABLE_FROM, lambda starts: starts <= now),
            (features.AVAILABLE_UNTIL, lambda ends: now < ends),
        ):
            if name in batch.schema.names:
                said.append(is_open(batch.column(name).to_numpy()))
        if said:
            self.num_listed = (self.num_listed or 0) + int(np.logical_and.reduce(said).sum())

    def _add_lines(self, path: str, num_lines: int) -> None:
        self.lines[path] += num_lines


def _files(manifest: Manifest) -> dict[str, list[str]]:
    """The files of every table, found before the first is read, so that a missing one is reported at once."""
    files = {}
    for table in ("items", "users", "events", "judgments"):
        described = getattr(manifest, table)
        if described is not None:
            files[table] = files_read(manifest, table)
    if manifest.judgments is not None and manifest.judgments.queries is not None:
        expand_paths(manifest.judgments.queries, manifest.folder)
    return files


def _require_rows(table: str, files: list[str], num_rows: int) -> None:
    if num_rows < _MIN_ROWS:
        names = ", ".join(shown(file) for file in files[:3])
        raise DataError(
            f"The table of {table} must have at least {_MIN_ROWS} rows. Got {num_rows} in {names}."
        )


def _ids(
    manifest: Manifest,
    files: dict[str, list[str]],
    table: str,
    meter: _Meter,
    sample: TextSample | None = None,
) -> tuple[pa.StringArray, Findings]:
    """The distinct ids of items or users, and what is wrong with that table, repeated ids included.

    Items also go into the sample.
    """
    ids, rows, origins, findings = [], [], [], Findings()
    for file, normal in normalised_batches(manifest, table, files[table], **meter.of_reading):
        ids.append(normal.batch.column(0))
        rows.append(normal.rows)
        origins.append(np.full(len(normal.rows), files[table].index(file), np.int32))
        findings += normal.findings
        if table == "items":
            meter.count_listed(normal.batch)
        if sample is not None:
            sample.add(file, normal.rows, normal.batch)
    _require_rows(table, files[table], findings.rows.get(table, 0))
    encoded = pa.concat_arrays(ids).dictionary_encode()
    positions = encoded.indices.to_numpy()
    is_repeated = np.ones(len(positions), bool)
    is_repeated[np.unique(positions, return_index=True)[1]] = False
    repeated = np.flatnonzero(is_repeated)
    all_rows, all_origins = np.concatenate(rows), np.concatenate(origins)
    examples = [
        Example(file=shown(files[table][all_origins[i]]), row=int(all_rows[i]), value=encoded[int(i)].as_py())
        for i in repeated[:NUM_EXAMPLES]
    ]
    column = getattr(manifest, table).id
    findings += _finding(f"duplicate_{table}", table, column, "not repeat an id", len(repeated), examples)
    return encoded.dictionary, findings


def _finding(
    rule: str, table: str, column: str, expected: str, count: int, examples: list[Example]
) -> Findings:
    if not count:
        return Findings()
    finding = Finding(
        rule=rule, table=table, column=column, expected=expected, count=count, examples=tuple(examples)
    )
    return Findings(findings=(finding,))


def _orphans(
    file: str, normal: Normalised, table: str, name: str, column: str, known: pa.StringArray, rule: str
) -> tuple[np.ndarray[Any, Any], Findings]:
    """Positions in `known` of a column's ids, -1 where absent, and the absent ones as a finding."""
    ids = normal.batch.column(name)
    positions = pc.index_in(ids, known).fill_null(-1).to_numpy()
    absent = np.flatnonzero(positions < 0)
    examples = [
        Example(file=shown(file), row=int(normal.rows[i]), value=ids[int(i)].as_py())
        for i in absent[:NUM_EXAMPLES]
    ]
    expected = f"be an id of the table of {'users' if name == 'user_id' else 'items'}"
    return positions, _finding(rule, table, column, expected, len(absent), examples)


def _events(
    manifest: Manifest,
    table: EventsTable,
    files: list[str],
    item_ids: pa.StringArray,
    user_ids: pa.StringArray | None,
    meter: _Meter,
) -> tuple[EventSummary | None, Findings]:
    _require_kind_is_no_column(table, files)
    findings, kinds, users = Findings(), Counter[str](), np.zeros(0, np.int64)
    has_event = np.zeros(len(item_ids), bool)
    clock, choosers, repeated = _Clock(manifest.split.events), Choosers(), RepeatedEvents(table)
    for file, normal in normalised_batches(manifest, "events", files, **meter.of_reading):
        positions, orphans = _orphans(
            file, normal, "events", "item_id", table.item, item_ids, "orphan_events"
        )
        findings += normal.findings + orphans
        if user_ids is not None:
            findings += _orphans(file, normal, "events", "user_id", table.user, user_ids, "orphan_users")[1]
        is_known = positions >= 0
        kept = normal.batch.filter(pa.array(is_known))
        has_event[positions[is_known]] = True
        for entry in kept.column("kind").value_counts().to_pylist():
            kinds[entry["values"]] += entry["counts"]
        times = kept.column("time").to_numpy()
        is_choice = is_positive(kept.column("weight").to_numpy())
        clock.add(times, is_choice)
        user_hashes = text_hashes(kept.column("user_id"))
        choosers.add(user_hashes[is_choice], times[is_choice])
        users = _distinct(users, user_hashes)
        said = [user_hashes, positions[is_known].astype(np.int64)]
        if table.kind.column is not None:
            said.append(text_hashes(kept.column("kind")))
        repeated.add(file, normal.rows[is_known], times, *said)
    _require_rows("events", files, findings.rows.get("events", 0))
    findings += Findings(findings=repeated.findings())
    if not len(users):
        return None, findings
    starts, sizes = clock.splits()
    num_test_users, num_measured = choosers.since(starts[1], within_sessions=table.users_are_sessions)
    findings += _strangers(table, num_test_users, num_measured)
    summary = EventSummary(
        num_users=len(users),
        num_items=int(has_event.sum()),
        first_time=clock.first,
        last_time=clock.last,
        starts=starts,
        kinds=dict(kinds.most_common()),
        splits=sizes,
        num_test_users=num_test_users,
        num_measured=num_measured,
    )
    return summary, findings


def _strangers(table: EventsTable, num_users: int, num_known: int) -> Findings:
    """A finding where next to nobody of the test window has a past, as in a log whose users are sessions."""
    if num_users - num_known <= _MOST_STRANGERS * num_users:
        return Findings()
    expected = (
        "have a second moment in its sessions, or recommendation cannot be measured"
        if table.users_are_sessions
        else "name people who chose something before the test window too, or recommendation cannot be "
        f'measured; where users are visits, say session = "{table.user}" as well'
    )
    finding = Finding(
        rule="unmeasured_users",
        table="test users",
        column=table.user,
        expected=expected,
        count=num_users - num_known,
        examples=(),
        got=f"{num_known:,} of {num_users:,} users" if num_known else f"none of {num_users:,} users",
    )
    return Findings(rows={"test users": num_users}, findings=(finding,))


def _distinct(*parts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The different values, in order; np.unique, which looks them up, takes ten times as long."""
    values = np.sort(np.concatenate(parts))
    return values[np.diff(values, prepend=values[:1] - 1) != 0]


class _Clock:
    """When events happened, in as little memory as the split allows."""

    def __init__(self, split: EventSplit) -> None:
        self._split = split
        self.first, self.last = 2**62, -(2**62)
        self._sizes = np.zeros(len(SPLITS), np.int64)
        self._later: list[np.ndarray[Any, Any]] = []

    def add(self, times: np.ndarray[Any, Any], is_choice: np.ndarray[Any, Any]) -> None:
        if not len(times):
            return
        self.first, self.last = min(self.first, int(times.min())), max(self.last, int(times.max()))
        times = times[is_choice]
        if isinstance(self._split.test, str):
            self._count(times, event_starts(self._split, self.first, self.last))
        else:
            # A share of the time is a time only once the last event is known.
            self._later.append(times)

    def splits(self) -> tuple[tuple[int, int], dict[str, int]]:
        """The starts of validation and test, and the number of choices in each split."""
        starts = event_starts(self._split, self.first, self.last)
        for times in self._later:
            self._count(times, starts)
        return starts, {name: int(size) for name, size in zip(SPLITS, self._sizes, strict=True)}

    def _count(self, times: np.ndarray[Any, Any], starts: tuple[int, int]) -> None:
        self._sizes += np.bincount(event_splits(times, starts), minlength=len(SPLITS))


def _require_kind_is_no_column(table: EventsTable, files: list[str]) -> None:
    if table.kind.column is None:
        (kind,) = table.kind.kinds
        # A column that has a meaning already may share its name with the kind: ratings have a rating.
        if kind not in table.columns and kind in column_names(files[0], format=table.format):
            raise DataError(
                f"events.kind must be one kind for every row, or a table that names a column. Got "
                f'"{kind}", a column of {shown(files[0])}; write kind = {{ column = "{kind}" }}.'
            )


def _judgments(
    manifest: Manifest, table: JudgmentsTable, files: list[str], item_ids: pa.StringArray, meter: _Meter
) -> tuple[JudgmentSummary | None, Findings]:
    queries, findings = columns.read_queries(manifest)
    split_of: dict[str, str] = {}
    judged, repeated = np.zeros(len(item_ids), bool), RepeatedJudgments(table)
    for file, normal in normalised_batches(manifest, "judgments", files, queries, **meter.of_reading):
        positions, orphans = _orphans(
            file, normal, "judgments", "item_id", table.item, item_ids, "orphan_judgments"
        )
        findings += normal.findings + orphans
        is_known = positions >= 0
        judged[positions[is_known]] = True
        kept = normal.batch.filter(pa.array(is_known))
        said = [text_hashes(kept.column(name)) for name in ("query_id", "query")]
        said.append(positions[is_known].astype(np.int64))
        repeated.add(file, normal.rows[is_known], kept.column("grade").to_numpy(), *said)
        splits = judgment_splits(normal.batch, manifest.split.judgments)
        pairs = pa.table({"query": normal.batch.column("query"), "split": splits})
        for row in pairs.group_by(["query", "split"]).aggregate([]).to_pylist():
            first = split_of.setdefault(row["query"], row["split"])
            if first != row["split"]:
                raise DataError(
                    f'{shown(file)}: column "{table.split}" must put a query into one split. Got '
                    f'"{row["query"]}" in {first} and {row["split"]}.'
                )
    _require_rows("judgments", files, findings.rows.get("judgments", 0))
    findings += Findings(findings=repeated.findings())
    if not split_of:
        return None, findings
    counts = Counter(split_of.values())
    summary = JudgmentSummary(
        num_queries=len(split_of), num_items=int(judged.sum()), splits={name: counts[name] for name in SPLITS}
    )
    return summary, findings


def _require_splits(report: Report, manifest: Manifest) -> None:
    summaries = (("events", report.events), ("judgments", report.judgments))
    for table, summary in summaries:
        if getattr(manifest, table) is not None and summary is None:
            raise DataError(
                f"The table of {table} must have rows that belong to an item. Got none that can be used."
            )
    if report.events is not None:
        events = report.events
        for name, size in events.splits.items():
            if size == 0:
                raise DataError(
                    f"split.events must leave events of a weight above 0 in each of {', '.join(SPLITS)}. Got "
                    f"none in {name}: events run from {day(events.first_time)} to {day(events.last_time)}, "
                    f"validation begins {day(events.starts[0])} and test {day(events.starts[1])}."
                )
    if report.judgments is not None:
        for name, size in report.judgments.splits.items():
            if size == 0:
                raise DataError(
                    f"split.judgments must leave queries in each of {', '.join(SPLITS)}. Got none in {name} "
                    f"of {report.judgments.num_queries} queries; set larger shares, or name a column with "
                    f"judgments.split."
                )
