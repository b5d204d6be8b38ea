"""The table and the picture of a comparison, with paired differences from the default."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from components.retrieval_evaluator.evaluation import Difference, MetricRow
from components.retrieval_evaluator.names import ALL, NOVEL, SEARCH
from components.retrieval_evaluator.unit_values import UnitValues
from models.metrics import paired_difference_interval
from pipeline.comparison.record import VariantRecord
from pipeline.report import plots
from pipeline.report.tables import TASK_SHORT, TASK_UNITS, metric_name

METRIC = "ndcg@10"
_TASKS = (SEARCH, NOVEL, ALL)
# One for all, so that no difference comes from it.
_BOOTSTRAP_SEED = 17


@dataclasses.dataclass(kw_only=True)
class Row:
    """A variant with the records of its seeds, or the reason why it failed."""

    name: str
    records: list[VariantRecord]
    failure: str = ""

    @property
    def is_measured(self) -> bool:
        return bool(self.records) and not self.failure

    def values(self) -> UnitValues:
        """The means over the seeds."""
        return UnitValues.mean([record.values for record in self.records])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Cost:
    """A column of costs: its name, how a record tells it, and how it is written."""

    name: str
    of: Callable[[VariantRecord], float | None]
    shown: Callable[[float], str] = "{:.1f}".format


def _request(request: str, kind: str) -> Callable[[VariantRecord], float | None]:
    return lambda record: record.request_costs.get(request, {}).get(kind)


_COSTS = (
    _Cost(name="trained parameters", of=lambda record: record.trained_parameters, shown="{:,.0f}".format),
    _Cost(name="training min", of=lambda record: record.training_min),
    _Cost(name="servable MB", of=lambda record: record.servable_mb),
    _Cost(name="search CPU ms", of=_request("search", "cpu_ms")),
    _Cost(name="search ms", of=_request("search", "latency_ms")),
    _Cost(name="recommend CPU ms", of=_request("recommend", "cpu_ms")),
    _Cost(name="recommend ms", of=_request("recommend", "latency_ms")),
)


def difference(default: Row, row: Row, task: str) -> Difference | None:
    """How much better a variant is than the default on the queries or users that measured both."""
    ours, theirs = row.values().paired(default.values(), task, METRIC)
    if not len(ours):
        return None
    low, high = paired_difference_interval(ours, theirs, seed=_BOOTSTRAP_SEED)
    return Difference(
        system=row.name,
        baseline=default.name,
        task=task,
        metric=METRIC,
        value=float((ours - theirs).mean()),
        low=low,
        high=high,
        num=len(ours),
    )


def markdown(rows: Sequence[Row], *, dataset: str) -> str:
    """The comparison as a Markdown page.

    Args:
        rows: The default, and its variants.
        dataset: Its name.
    """
    default, *variants = rows
    tasks, costs = _tasks(rows), _costs(rows)
    # The default tells how many are usual, or else whoever was measured.
    usual = next((row for row in rows if row.is_measured), None)
    counts = {task: len(usual.values().known(task, METRIC)) if usual else 0 for task in tasks}
    heads = ["variant"]
    heads += [
        f"{TASK_SHORT[task]} {metric_name(METRIC)}, {counts[task]} {TASK_UNITS[task]}" for task in tasks
    ]
    heads += [*(cost.name for cost in costs), "gates"]
    grid = [heads, ["---", *["---:"] * (len(heads) - 2), "---"]]
    for row in rows:
        cells = [_escaped(row.name)]
        if row.is_measured:
            cells += [_quality(default, row, task, counts[task]) for task in tasks]
            cells += [_cost(row, cost) for cost in costs]
            blessed = [record.is_blessed for record in row.records]
            cells.append("blessed" if all(blessed) else "not blessed")
        else:
            cells += ["–"] * (len(heads) - 2) + ["failed"]
        grid.append(cells)
    lines = [f"# Variants on {dataset}", "", *(f"| {' | '.join(cells)} |" for cells in grid), ""]
    num_seeds = max(len(row.records) for row in rows)
    lines += [*_legend(num_seeds, len(variants)), ""]
    lines += [f"* {sentence}" for sentence in _sentences(default, variants, tasks)]
    return "\n".join(lines) + "\n"


def picture(rows: Sequence[Row], *, dataset: str) -> str:
    """The comparison as an SVG file: a panel for each task's differences, and one for each cost."""
    default = rows[0]
    measured = [row for row in rows if row.is_measured]
    panels = []
    for task in _tasks(rows) if default.is_measured else ():
        compared = [difference(default, row, task) for row in measured]
        found = [
            MetricRow(
                system=d.system, task=task, metric=METRIC, value=d.value, low=d.low, high=d.high, num=d.num
            )
            for d in compared
            if d is not None
        ]
        title = f"{TASK_SHORT[task]} {metric_name(METRIC)}, difference from the default"
        panels.append((title, plots.difference_plot(title, found, default.name)))
    for cost in _costs(rows):
        costs = [(row.name, _mean(row, cost)) for row in measured]
        found = [
            MetricRow(system=name, task="", metric=cost.name, value=value, low=None, high=None, num=1)
            for name, value in costs
            if value is not None
        ]
        panels.append((cost.name, plots.interval_plot(cost.name, found, default.name)))
    return plots.sheet(f"Variants on {dataset}", panels, num_rows=len(measured))


def _tasks(rows: Sequence[Row]) -> list[str]:
    """The tasks that some variant was measured on."""
    return [
        task
        for task in _TASKS
        if any(len(row.values().known(task, METRIC)) for row in rows if row.is_measured)
    ]


def _costs(rows: Sequence[Row]) -> list[_Cost]:
    """The costs that some variant has."""
    return [cost for cost in _COSTS if any(_mean(row, cost) is not None for row in rows if row.is_measured)]


def _mean(row: Row, cost: _Cost) -> float | None:
    found = [value for record in row.records if (value := cost.of(record)) is not None]
    return float(np.mean(found)) if found else None


def _cost(row: Row, cost: _Cost) -> str:
    value = _mean(row, cost)
    return "–" if value is None else cost.shown(value)


def _quality(default: Row, row: Row, task: str, usual: int) -> str:
    """A variant's mean, the range of its seeds, and its difference from the default."""
    known = row.values().known(task, METRIC)
    if not len(known):
        return "–"
    shown = f"{known.mean():.3f}"
    if len(row.records) > 1:
        means = [record.values.known(task, METRIC).mean() for record in row.records]
        shown += f" ({min(means):.3f} to {max(means):.3f})"
    shown += _of(len(known), usual)
    if row is default or not default.is_measured:
        return shown
    found = difference(default, row, task)
    if found is None:
        return shown
    apart = f"{_signed(found.value)} [{_signed(found.low)}, {_signed(found.high)}]{_of(found.num, usual)}"
    return f"{shown}, **{apart}**" if _is_shown(found) else f"{shown}, {apart}"


def _of(num: int, usual: int) -> str:
    """How many queries or users, where the head of the column does not say so."""
    return "" if num == usual else f" (of {num})"


def _is_shown(found: Difference) -> bool:
    return found.low > 0 or found.high < 0


def _legend(num_seeds: int, num_variants: int) -> list[str]:
    lines = [
        "Quality is measured on the test window and the test queries. Beside it is the difference from the "
        "default, with its 95 % bootstrap interval over the same queries or users. It is bold where the "
        "interval does not hold 0."
    ]
    if num_seeds > 1:
        lines.append(
            f"Numbers are means over {num_seeds} seeds, with the lowest and the highest quality of a seed in "
            "brackets. The interval knows of other queries and users, not of other seeds."
        )
    if num_variants > 1:
        lines.append(
            "One interval in twenty does not hold the truth, so of many variants some look different."
        )
    lines.append(
        "Training minutes are those of the Trainer, and CPU milliseconds all that the server worked for one "
        "request over gRPC, on this machine with whatever else ran there."
    )
    return lines


def _sentences(default: Row, variants: Sequence[Row], tasks: Sequence[str]) -> list[str]:
    """What is shown of each variant, in words."""
    if not default.is_measured:
        return [f"The default failed, so nothing was compared with it: {default.failure}"] + [
            f"{_escaped(row.name)} failed: {row.failure}" for row in variants if row.failure
        ]
    sentences = []
    for row in variants:
        if row.failure:
            sentences.append(f"{_escaped(row.name)} failed: {row.failure}")
            continue
        found = [one for task in tasks if (one := difference(default, row, task)) is not None]
        parts = [
            (words, [TASK_SHORT[one.task] for one in found if belongs(one)])
            for words, belongs in (
                ("better in", lambda one: one.low > 0),
                ("worse in", lambda one: one.high < 0),
                ("not shown to differ in", lambda one: not _is_shown(one)),
            )
        ]
        told = "; ".join(f"{words} {', '.join(names)}" for words, names in parts if names)
        sentences.append(f"{_escaped(row.name)}: {told or 'no query or user measured both'}.")
    return sentences


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _escaped(name: str) -> str:
    return name.replace("|", "\\|")
