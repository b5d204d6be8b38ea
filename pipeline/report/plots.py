"""Small plots as inline SVG. Their colours are CSS variables of the page, so they suit light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from components.retrieval_evaluator.evaluation import MetricRow
from pipeline.report.report import Calibration, Curve

_WIDTH = 360
_ROW = 24
_TOP, _BOTTOM = 8, 26
_LABEL_WIDTH = 134
_HEIGHT = 210
_LEFT, _RIGHT = 46, 12
_TITLE, _GAP = 20, 36
# Numbers with a sign and three places need room.
_FEW_TICKS = 3
NUM_SERIES = 4


def interval_plot(title: str, rows: Sequence[MetricRow], ours: str) -> str:
    """Draws a dot and an interval for each system, top to bottom in the order of `rows`; ours is marked."""
    axis = _Axis.around(0.0, max(_ends(rows), default=1.0), _LABEL_WIDTH, _WIDTH - _RIGHT)
    return _row_plot(title, rows, ours, axis)


def difference_plot(title: str, rows: Sequence[MetricRow], ours: str) -> str:
    """Draws the same where values may be below 0, with a line at 0."""
    ends = [0.0, *_ends(rows)]
    margin = 0.06 * (max(ends) - min(ends)) or 0.01
    axis = _Axis.around(
        min(ends) - margin, max(ends) + margin, _LABEL_WIDTH, _WIDTH - _RIGHT, num_ticks=_FEW_TICKS
    )
    bottom = _TOP + _ROW * len(rows)
    zero = f'<line class="diagonal" x1="{axis.at(0):.1f}" x2="{axis.at(0):.1f}" y1="{_TOP}" y2="{bottom}"/>'
    return _row_plot(title, rows, ours, axis, zero)


def _ends(rows: Sequence[MetricRow]) -> list[float]:
    return [end for row in rows for end in (row.value, row.low, row.high) if end is not None]


def _row_plot(title: str, rows: Sequence[MetricRow], ours: str, axis: _Axis, *parts_below: str) -> str:
    bottom = _TOP + _ROW * len(rows)
    parts = [*(_tick_x(axis, tick, _TOP, bottom) for tick in axis.ticks), *parts_below]
    for position, row in enumerate(rows):
        y = _TOP + _ROW * (position + 0.5)
        mark = "ours" if row.system == ours else "theirs"
        parts.append(
            f'<text class="label {mark}" x="{_LABEL_WIDTH - 8}" y="{y + 4:g}" text-anchor="end">'
            f"{escape(_short(row.system))}</text>"
        )
        if row.low is not None and row.high is not None:
            parts.append(
                f'<line class="interval {mark}" x1="{axis.at(row.low):.1f}" '
                f'x2="{axis.at(row.high):.1f}" y1="{y:g}" y2="{y:g}"/>'
            )
        radius = 5 if row.system == ours else 4
        parts.append(f'<circle class="dot {mark}" cx="{axis.at(row.value):.1f}" cy="{y:g}" r="{radius}"/>')
    text = "; ".join(f"{row.system} {row.value:.3f}" for row in rows)
    return _svg(title, text, bottom + _BOTTOM, parts)


def sheet(title: str, panels: Sequence[tuple[str, str]], *, num_rows: int) -> str:
    """Puts plots of systems into one SVG file that stands for itself, two in a line.

    Args:
        title: Of the file.
        panels: The title of each plot, and the plot as `interval_plot` or `difference_plot` drew it.
        num_rows: The most systems that a plot has.
    """
    height = _TOP + _ROW * num_rows + _BOTTOM
    parts = []
    for number, (name, plot) in enumerate(panels):
        x, y = _GAP + (number % 2) * (_WIDTH + _GAP), _GAP + (number // 2) * (height + _TITLE + _GAP)
        parts.append(f'<text class="title" x="{x}" y="{y + 12}">{escape(name)}</text>')
        # The style of a page would make it as wide as the page.
        size = f'x="{x}" y="{y + _TITLE}" style="width: {_WIDTH}px; height: {height}px" '
        size += f'width="{_WIDTH}" height="{height}" preserveAspectRatio="xMinYMin" '
        parts.append(plot.replace("<svg ", f"<svg {size}", 1))
    lines = math.ceil(len(panels) / 2)
    wide, high = 2 * _WIDTH + 3 * _GAP, _GAP + lines * (height + _TITLE + _GAP)
    style = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    # Names and numbers may stand out into the gaps.
    style += "svg { background: var(--card); } .plot { overflow: visible; background: none; }"
    style += ".title { font: 600 13px system-ui, sans-serif; fill: var(--ink); }"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">'
        f"<title>{escape(title)}</title><style><![CDATA[{style}]]></style>{''.join(parts)}</svg>\n"
    )


def curve_plot(title: str, curves: Sequence[Curve], phases: Sequence[str]) -> str:
    """Draws one line for each phase of one metric. The phase's place in `phases` sets the colour."""
    steps = [step for curve in curves for step in curve.steps]
    values = [value for curve in curves for value in curve.values]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    x = _Axis.around(0, max(steps), _LEFT, _WIDTH - _RIGHT, num_ticks=4)
    y = _Axis.around(low - margin, high + margin, _HEIGHT - _BOTTOM, _TOP)
    parts = _frame(x, y)
    for curve in curves:
        mark = f"series-{phases.index(curve.phase) % NUM_SERIES}"
        points = [f"{x.at(s):.1f},{y.at(v):.1f}" for s, v in zip(curve.steps, curve.values, strict=True)]
        parts.append(f'<polyline class="curve {mark}" points="{" ".join(points)}"/>')
        parts.append('<circle class="dot {}" cx="{}" cy="{}" r="3"/>'.format(mark, *points[-1].split(",")))
    text = "; ".join(
        f"{c.phase} from {_number(c.values[0])} at step {c.steps[0]:,} to {_number(c.values[-1])} at step "
        f"{c.steps[-1]:,}"
        for c in curves
    )
    return _svg(title, text, _HEIGHT, parts)


def calibration_plot(calibration: Calibration) -> str:
    """Draws the mean label over the mean prediction. A dot grows with its bin; the diagonal is perfect."""
    bins = [b for b in calibration.bins if b.count]
    largest = max((max(b.mean_predicted, b.mean_label) for b in bins), default=1.0)
    x = _Axis.around(0.0, largest * 1.05, _LEFT, _WIDTH - _RIGHT)
    y = _Axis.around(0.0, largest * 1.05, _HEIGHT - _BOTTOM, _TOP)
    parts = _frame(x, y)
    end = min(x.high, y.high)
    parts.append(
        f'<line class="diagonal" x1="{x.at(0):.1f}" y1="{y.at(0):.1f}" x2="{x.at(end):.1f}" '
        f'y2="{y.at(end):.1f}"/>'
    )
    most = max((b.count for b in bins), default=1)
    parts += [
        f'<circle class="bin" cx="{x.at(b.mean_predicted):.1f}" cy="{y.at(b.mean_label):.1f}" '
        f'r="{3 + 6 * math.sqrt(b.count / most):.1f}"/>'
        for b in bins
    ]
    text = "; ".join(f"predicted {b.mean_predicted:.3f}, happened {b.mean_label:.3f}" for b in bins)
    return _svg(f"Calibration of {calibration.head}", text, _HEIGHT, parts)


class _Axis:
    """An axis, which turns numbers into places and has round ticks."""

    def __init__(self, low: float, high: float, start: float, end: float, ticks: list[float]) -> None:
        self.low, self.high, self.ticks = low, high, ticks
        self._start, self._scale = start, (end - start) / (high - low)

    @classmethod
    def around(cls, low: float, high: float, start: float, end: float, *, num_ticks: int = 5) -> _Axis:
        if high <= low:
            high = low + 1.0
        step = 10.0 ** math.floor(math.log10((high - low) / num_ticks))
        step *= next((m for m in (1, 2, 5) if (high - low) / (step * m) <= num_ticks), 10)
        if low == 0:
            high = math.ceil(high / step - 1e-9) * step
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return cls(low, high, start, end, [n * step for n in range(first, last + 1)])

    def at(self, value: float) -> float:
        return self._start + (value - self.low) * self._scale


def _frame(x: _Axis, y: _Axis) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y.at(t):.1f}" y2="{y.at(t):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y.at(t) + 4:.1f}" text-anchor="end">{_number(t)}</text>'
        for t in y.ticks
    ]
    return parts + [_tick_x(x, tick, None, bottom) for tick in x.ticks]


def _tick_x(axis: _Axis, tick: float, top: float | None, bottom: float) -> str:
    place = axis.at(tick)
    tag = (
        f'<text class="tick" x="{place:.1f}" y="{bottom + 17:g}" text-anchor="middle">{_number(tick)}</text>'
    )
    if top is None:
        return tag
    return f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="{top:g}" y2="{bottom:g}"/>{tag}'


def _svg(title: str, text: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape(title)}: '
        f'{escape(text)}">{"".join(parts)}</svg>'
    )


def _number(value: float) -> str:
    if abs(value) >= 1000 and value == round(value):
        return f"{value / 1000:g}k"
    return f"{value:.4g}"


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"
