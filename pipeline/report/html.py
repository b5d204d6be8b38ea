"""The report of a run: one HTML file that needs no network and no script."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from components.retrieval_evaluator.evaluation import MetricRow
from pipeline.report import plots, tables
from pipeline.report.report import Curve, ReportData

HTML_FILE = "report.html"

_FOLDER = Path(__file__).parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """A plot and its title. `legend` has the name and the number of the colour of each series."""

    title: str
    svg: Markup
    legend: tuple[tuple[str, int], ...] = ()


def write_report(report: ReportData, workdir: Path) -> Path:
    """Writes the data and the page into `workdir` and returns the page's path."""
    report.save(workdir)
    path = workdir / HTML_FILE
    path.write_text(render(report), encoding="utf-8")
    return path


def render(report: ReportData) -> str:
    """The report as an HTML page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.jinja").render(
        report=report,
        style=Markup((_FOLDER / "report.css").read_text(encoding="utf-8")),
        task_names=tables.TASK_NAMES,
        task_short=tables.TASK_SHORT,
        task_units=tables.TASK_UNITS,
        metric_name=tables.metric_name,
        signed=_signed,
        headlines=tables.headlines(report),
        main_tables=tables.main_tables(report),
        further_tables=tables.further_tables(report),
        slice_tables=tables.slice_tables(report),
        metric_panels=_metric_panels(report),
        curve_panels=_curve_panels(report.curves),
        calibration_panels=[
            Panel(title=c.head, svg=Markup(plots.calibration_plot(c))) for c in report.calibrations
        ],
        searches=[example for example in report.examples if example.query],
        recommendations=[example for example in report.examples if not example.query],
        settings=list(_flat(report.configuration)),
        longest_s=max((node.wall_time_s for node in report.nodes), default=0.0),
        largest_mb=max((node.peak_memory_mb or 0.0 for node in report.nodes), default=0.0),
        total_s=sum(node.wall_time_s for node in report.nodes),
    )


def _metric_panels(report: ReportData) -> list[Panel]:
    by_cell: Mapping[tuple[str, str, str], MetricRow] = {
        (row.system, row.task, row.metric): row for row in report.rows if not row.slice
    }
    panels = []
    for table in tables.main_tables(report):
        for column in table.columns:
            cells = [by_cell.get((line.system, column.task, column.metric)) for line in table.lines]
            rows = sorted((row for row in cells if row is not None), key=lambda row: -row.value)
            title = f"{tables.TASK_SHORT[column.task]} · {column.name}"
            panels.append(Panel(title=title, svg=Markup(plots.interval_plot(title, rows, report.ours))))
    return panels


def _curve_panels(curves: tuple[Curve, ...]) -> list[Panel]:
    phases = list(dict.fromkeys(curve.phase for curve in curves))
    panels = []
    for metric in dict.fromkeys(curve.metric for curve in curves):
        drawn = [curve for curve in curves if curve.metric == metric and curve.steps]
        if drawn:
            title = tables.metric_name(metric)
            svg = plots.curve_plot(f"Learning curve of {title}", drawn, phases)
            legend = tuple((curve.phase, phases.index(curve.phase) % plots.NUM_SERIES) for curve in drawn)
            panels.append(Panel(title=title, svg=Markup(svg), legend=legend))
    return panels


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The dotted names and the values of nested settings."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield (
                f"{prefix}{name}",
                ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value),
            )
