"""The tables of a report, as cells ready to be shown: the main tables, the further metrics and the slices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from components.retrieval_evaluator.evaluation import Difference, MetricRow
from components.retrieval_evaluator.names import is_baseline
from pipeline.report.report import ReportData

TASK_NAMES = {"search": "Search", "novel": "Recommend, new to the user", "all": "Recommend, repeats allowed"}
TASK_SHORT = {"search": "SEARCH", "novel": "NOVEL", "all": "ALL"}
TASK_UNITS = {"search": "queries", "novel": "users", "all": "users"}

# Each task is judged by these metrics. The first one decides.
MAIN_METRICS = {
    "search": ("ndcg@10", "recall@100"),
    "novel": ("recall@20", "ndcg@10"),
    "all": ("recall@20", "ndcg@10"),
}
METRIC_NAMES = {
    "recall": "recall",
    "ndcg": "nDCG",
    "mrr": "MRR",
    "coverage": "coverage",
    "novelty": "novelty",
    "diversity": "diversity",
    "because": "reason holds",
}
# For these metrics, more is not simply better.
_NEUTRAL = ("coverage", "novelty", "diversity")
# Numbers that differ by less than this look the same in the table.
_SAME = 5e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One metric of one task."""

    task: str
    metric: str

    @property
    def name(self) -> str:
        """The metric as people write it, such as ``nDCG@10``."""
        return metric_name(self.metric)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """A number ready to be shown."""

    value: str
    interval: str
    is_best: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """The row of one system. A cell is ``None`` if the metric was not measured for it."""

    system: str
    is_ours: bool
    cells: tuple[Cell | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table of systems by metrics.

    Attributes:
        columns: The metrics. Those of one task are neighbours.
        lines: The systems, ours first. The baselines follow, best first: each system's share of the best
            value is averaged over the columns.
        counts: The number of users or queries that each task was measured on.
    """

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    counts: dict[str, int]

    def groups(self) -> list[tuple[str, int]]:
        """The tasks, each with the number of its columns."""
        tasks = [column.task for column in self.columns]
        return [(task, tasks.count(task)) for task in dict.fromkeys(tasks)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SliceLine:
    """One slice, with our value beside that of the slice's best baseline."""

    slice: str
    num: int
    ours: Cell
    baseline: str
    theirs: Cell | None


def metric_name(metric: str) -> str:
    kind, at, k = metric.partition("@")
    return f"{METRIC_NAMES.get(kind, kind)}{at}{k}"


def main_tables(report: ReportData) -> list[Table]:
    """The tables of the main metrics: one for both recommendation tasks, and one for search."""
    return _present(
        report, [("novel", "all"), ("search",)], lambda task, metric: metric in MAIN_METRICS[task]
    )


def further_tables(report: ReportData) -> list[Table]:
    """The tables of all other metrics, in the same two groups."""
    return _present(
        report, [("novel", "all"), ("search",)], lambda task, metric: metric not in MAIN_METRICS[task]
    )


def slice_tables(report: ReportData) -> dict[Column, list[SliceLine]]:
    """The slices that `ours` has a value for, by the deciding metric of each task."""
    tables = {}
    for task, (metric, *_) in MAIN_METRICS.items():
        rows = [row for row in report.rows if (row.task, row.metric) == (task, metric)]
        lines = []
        for slice_ in dict.fromkeys(row.slice for row in rows):
            here = [row for row in rows if row.slice == slice_]
            ours = [row for row in here if row.system == report.ours]
            theirs = max(
                (row for row in here if is_baseline(row.system)), key=lambda r: r.value, default=None
            )
            if ours:
                best = max(row.value for row in (*ours, *filter(None, [theirs])))
                lines.append(
                    SliceLine(
                        slice=slice_,
                        num=ours[0].num,
                        ours=_cell(ours[0], best),
                        baseline="" if theirs is None else theirs.system,
                        theirs=None if theirs is None else _cell(theirs, best),
                    )
                )
        if len(lines) > 1:
            tables[Column(task=task, metric=metric)] = lines
    return tables


def headlines(report: ReportData) -> list[Difference]:
    """The difference, in each task's deciding metric, to the best baseline that ours was compared with."""
    found = []
    for task, (metric, *_) in MAIN_METRICS.items():
        compared = [
            d
            for d in report.differences
            if (d.task, d.metric, d.system) == (task, metric, report.ours) and is_baseline(d.baseline)
        ]
        if compared:
            found.append(min(compared, key=lambda difference: difference.value))
    return found


def _present(
    report: ReportData, groups: Sequence[Sequence[str]], belongs: Callable[[str, str], bool]
) -> list[Table]:
    rows = [row for row in report.rows if not row.slice]
    tables = []
    for tasks in groups:
        columns = tuple(
            Column(task=task, metric=metric)
            for task in tasks
            for metric in dict.fromkeys(row.metric for row in rows if row.task == task)
            if belongs(task, metric)
        )
        if columns:
            tables.append(_table(report.ours, columns, rows))
    return tables


def _table(ours: str, columns: tuple[Column, ...], rows: Sequence[MetricRow]) -> Table:
    by_cell = {(row.system, row.task, row.metric): row for row in rows}
    systems = {row.system for row in rows if any(row.task == column.task for column in columns)}
    best = {
        column: max(row.value for row in rows if (row.task, row.metric) == (column.task, column.metric))
        for column in columns
    }

    def order(system: str) -> tuple[bool, float, str]:
        cells = [(by_cell.get((system, column.task, column.metric)), column) for column in columns]
        shares = [row.value / (best[column] or 1.0) for row, column in cells if row is not None]
        return (system != ours, -sum(shares) / len(shares), system)

    lines = []
    for system in sorted(systems, key=order):
        cells = [by_cell.get((system, column.task, column.metric)) for column in columns]
        lines.append(
            Line(
                system=system,
                is_ours=system == ours,
                cells=tuple(
                    None if row is None else _cell(row, best[column])
                    for row, column in zip(cells, columns, strict=True)
                ),
            )
        )
    counts = {column.task: max(r.num for r in rows if r.task == column.task) for column in columns}
    return Table(columns=columns, lines=tuple(lines), counts=counts)


def _cell(row: MetricRow, best: float) -> Cell:
    interval = "" if row.low is None or row.high is None else f"{row.low:.3f} – {row.high:.3f}"
    is_neutral = row.metric.partition("@")[0] in _NEUTRAL
    return Cell(
        value=f"{row.value:.3f}", interval=interval, is_best=not is_neutral and row.value >= best - _SAME
    )
