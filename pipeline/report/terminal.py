"""The main table of a report on the terminal."""

from __future__ import annotations

from pathlib import Path

from pipeline.report.html import HTML_FILE
from pipeline.report.report import ReportData
from pipeline.report.tables import TASK_SHORT, TASK_UNITS, Table, main_tables

_GAP = "  "


def print_report(workdir: Path) -> int:
    """Prints a run's main table, the gate's decision and the report's path, and returns 0.

    Raises:
        DataError: If there is no report.
    """
    workdir = Path(workdir)
    report = ReportData.load(workdir)
    print(f"{report.dataset}, {report.created}")
    for table in main_tables(report):
        print()
        print("\n".join(_lines(table)))
    print("\n* best of its column; below each value the ends of its 95 % interval")
    print(f"{'Blessed' if report.gate.is_blessed else 'Not blessed'}: {' '.join(report.gate.reasons)}")
    for heading, moved in (
        ("Drift since the last span", report.drift),
        ("Skew, newest window against training", report.skew),
    ):
        named = [one.sentence for one in moved if one.distance > one.limit]
        if named:
            print(f"{heading}: {' '.join(named)}")
    if report.cuts:
        print(f"Cut short by train.max_minutes: {' '.join(report.cuts)}")
    print(f"Report: {workdir / HTML_FILE}")
    return 0


def _lines(table: Table) -> list[str]:
    heads = ["", *(f"{TASK_SHORT[column.task]} {column.name}" for column in table.columns)]
    units = [
        "",
        *(f"{table.counts[column.task]:,} {TASK_UNITS[column.task]}" for column in table.columns),
    ]
    grid = [heads, units]
    for line in table.lines:
        values, intervals = [f"{'> ' if line.is_ours else '  '}{line.system}"], [""]
        for cell in line.cells:
            values.append("–" if cell is None else f"{'*' if cell.is_best else ''}{cell.value}")
            intervals.append("" if cell is None else cell.interval)
        grid += [values, intervals]
    widths = [max(len(row[column]) for row in grid) for column in range(len(heads))]
    return [
        _GAP.join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in grid
    ]
