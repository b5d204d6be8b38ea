"""The data of a report, plain enough to survive a JSON round trip."""

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
    """The values of one metric during one phase of training, by step."""

    phase: str
    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """A group of examples with similar predictions."""

    mean_predicted: float
    mean_label: float
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """The predictions of one head compared with what happened."""

    head: str
    bins: tuple[CalibrationBin, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeCost:
    """The time and memory of one node of the pipeline. A cached node took none; a peak may be unknown."""

    node: str
    wall_time_s: float
    peak_memory_mb: float | None
    is_cached: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drift:
    """The distance that a column has moved since the last span, or from training to the newest window.

    Attributes:
        table: The table, such as ``events``, or ``interactions`` for the join of all tables.
        column: The name of the column.
        is_categorical: Whether `distance` is the largest change of one value's share (the L-infinity norm).
            For numbers it is the Jensen-Shannon divergence. Both are from 0 to 1.
        distance: The distance.
        limit: The report names the column if its distance is above this.
    """

    table: str
    column: str
    is_categorical: bool
    distance: float
    limit: float

    @property
    def sentence(self) -> str:
        """The distance in a sentence for people."""
        if not self.is_categorical:
            moved = "has moved" if self.distance > self.limit else "is distributed as before"
            return f"{self.column} of {self.table} {moved}."
        change = f"no value's share has changed by more than {self.distance:.1%}"
        if self.distance > self.limit:
            change = f"one value's share has changed by {self.distance:.1%}"
        return f"In {self.column} of {self.table} {change}."


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportData:
    """The data of a finished run's report.

    Attributes:
        dataset: The name from the manifest.
        created: The time as ISO 8601.
        summary: The sizes of the data set by label, such as ``{"items": "2,095"}``.
        ours: The system of `rows` that the report is about. All other systems are its baselines.
        rows: All metrics.
        differences: Paired comparisons of `ours` with the baselines.
        curves: The learning curves.
        cuts: What training left out for lack of time, one sentence each.
        calibrations: One calibration for each head.
        findings: The faults of the data.
        drift: The drift of each column that was compared with the last span.
        skew: The skew of each column of the newest window that was compared with the training data.
        choices: What the data decided when the servable was built, a sentence each.
        examples: Examples of searches and recommendations.
        configuration: The settings, nested.
        versions: The version of each library.
        nodes: The costs of the nodes, in the order they ran.
        gate: The gate's decision.
    """

    dataset: str
    created: str
    summary: Mapping[str, str]
    ours: str
    rows: tuple[MetricRow, ...]
    differences: tuple[Difference, ...] = ()
    curves: tuple[Curve, ...] = ()
    cuts: tuple[str, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    findings: Findings = dataclasses.field(default_factory=Findings)
    drift: tuple[Drift, ...] = ()
    skew: tuple[Drift, ...] = ()
    choices: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    configuration: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    nodes: tuple[NodeCost, ...] = ()
    gate: Verdict

    def to_json(self) -> str:
        """The data as JSON text, which `from_json` turns into equal data.

        Raises:
            ValueError: If a number is NaN or infinite.
        """
        return json.dumps(dataclasses.asdict(self), allow_nan=False, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> ReportData:
        """Reads the text that `to_json` wrote."""
        return _from_plain(cls, json.loads(text))

    def save(self, workdir: Path) -> Path:
        """Writes `DATA_FILE` into the working directory and returns its path."""
        path = workdir / DATA_FILE
        path.write_text(self.to_json(), encoding="utf-8")
        return path

    @classmethod
    def load(cls, workdir: Path) -> ReportData:
        """Reads the file that `save` wrote.

        Raises:
            DataError: If there is no file, or if another version of the program wrote it.
        """
        path = workdir / DATA_FILE
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"{workdir} must hold a finished run. Got no {DATA_FILE} there.") from None
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path} must be a report of this version. Got {error}; run again.") from error


def _from_plain(type_: Any, value: Any) -> Any:
    """Builds a value of a dataclass, tuple, mapping or plain type from its JSON form."""
    if dataclasses.is_dataclass(type_) and isinstance(type_, type):
        hints = get_type_hints(type_)
        return type_(**{name: _from_plain(hints[name], part) for name, part in value.items()})
    if get_origin(type_) is tuple:
        return tuple(_from_plain(get_args(type_)[0], part) for part in value)
    if get_origin(type_) in (types.UnionType, typing.Union):
        (inner,) = (part for part in get_args(type_) if part is not types.NoneType)
        return None if value is None else _from_plain(inner, value)
    return value
