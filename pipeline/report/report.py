"""Everything a report shows, as plain data that survives a JSON round trip."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from components.retrieval_evaluator.evaluation import Difference, MetricRow
from components.retrieval_evaluator.record import Example
from components.verdict import Verdict
from dataset.errors import DataError
from dataset.findings import Findings

DATA_FILE = "report.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """One metric while one phase trained: the value at each step."""

    phase: str
    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Examples with similar predictions."""

    mean_predicted: float
    mean_label: float
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Predictions of one head against what happened."""

    head: str
    bins: tuple[CalibrationBin, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeCost:
    """What one node of the pipeline took; a cached one took nothing, and its peak may be unknown."""

    node: str
    wall_time_s: float
    peak_memory_mb: float | None
    is_cached: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drift:
    """How far one column has moved: of a table since the last span, or from training to the newest window.

    Attributes:
        table: Such as ``events``, or ``interactions``, what is made of all tables.
        column: Its name.
        is_categorical: Whether `distance` is the largest change of one value's share (the L-infinity norm),
            or else the Jensen-Shannon divergence of numbers; both are from 0 to 1.
        distance: How far.
        limit: Above which the report names it.
    """

    table: str
    column: str
    is_categorical: bool
    distance: float
    limit: float

    @property
    def sentence(self) -> str:
        """What the distance says, for people."""
        if not self.is_categorical:
            moved = "has moved" if self.distance > self.limit else "is distributed as before"
            return f"{self.column} of {self.table} {moved}."
        change = f"no value's share has changed by more than {self.distance:.1%}"
        if self.distance > self.limit:
            change = f"one value's share has changed by {self.distance:.1%}"
        return f"In {self.column} of {self.table} {change}."


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportData:
    """A finished run.

    Attributes:
        dataset: Name from the manifest.
        created: ISO 8601 time.
        summary: What the data set holds, label to value, such as ``{"items": "2,095"}``.
        ours: The system of `rows` that the report is about; all others are its baselines.
        rows: Every metric.
        differences: Paired comparisons of `ours` with baselines.
        curves: Learning curves.
        calibrations: One for each head.
        findings: What is wrong with the data.
        drift: Of each column that was compared with the last span.
        skew: Of each column of the newest window that was compared with the training data.
        examples: Searches and recommendations.
        configuration: Nested settings.
        versions: Library to version.
        nodes: In the order they ran.
        gate: The decision.
    """

    dataset: str
    created: str
    summary: Mapping[str, str]
    ours: str
    rows: tuple[MetricRow, ...]
    differences: tuple[Difference, ...] = ()
    curves: tuple[Curve, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    findings: Findings = dataclasses.field(default_factory=Findings)
    drift: tuple[Drift, ...] = ()
    skew: tuple[Drift, ...] = ()
    examples: tuple[Example, ...] = ()
    configuration: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    nodes: tuple[NodeCost, ...] = ()
    gate: Verdict

    def to_json(self) -> str:
        """JSON text that `from_json` turns into equal data.

        Raises:
            ValueError: A number is NaN or infinite.
        """
        return json.dumps(dataclasses.asdict(self), allow_nan=False, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> ReportData:
        """Reads what `to_json` wrote."""
        return _from_plain(cls, json.loads(text))

    def save(self, workdir: Path) -> Path:
        """Writes `DATA_FILE` into the working directory and returns its path."""
        path = workdir / DATA_FILE
        path.write_text(self.to_json(), encoding="utf-8")
        return path

    @classmethod
    def load(cls, workdir: Path) -> ReportData:
        """Reads what `save` wrote.

        Raises:
            DataError: There is none, or it is of another version of the program.
        """
        path = workdir / DATA_FILE
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"{workdir} must hold a finished run. Got no {DATA_FILE} there.") from None
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path} must be a report of this version. Got {error}; run again.") from error


def _from_plain(type_: Any, value: Any) -> Any:
    """Builds a value of a dataclass, tuple, mapping or plain type from what JSON has for it."""
    if dataclasses.is_dataclass(type_) and isinstance(type_, type):
        hints = get_type_hints(type_)
        return type_(**{name: _from_plain(hints[name], part) for name, part in value.items()})
    if get_origin(type_) is tuple:
        return tuple(_from_plain(get_args(type_)[0], part) for part in value)
    if get_origin(type_) in (types.UnionType, typing.Union):
        (inner,) = (part for part in get_args(type_) if part is not types.NoneType)
        return None if value is None else _from_plain(inner, value)
    return value
