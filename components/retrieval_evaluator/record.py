"""Record of an evaluation: what ``evaluation.json`` holds."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from components.retrieval_evaluator.evaluation import Difference, MetricRow

EVALUATION_FILE = "evaluation.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedItem:
    """One place of an example list."""

    item_id: str
    title: str
    score: float
    is_relevant: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleList:
    """What one system answers, best first."""

    system: str
    items: tuple[ListedItem, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One request and the answers to it.

    Attributes:
        query: Text, "" for a recommendation.
        user_id: "" if nobody is known.
        history: Titles, most recent first.
        lists: Ours first.
    """

    query: str = ""
    user_id: str = ""
    history: tuple[str, ...] = ()
    lists: tuple[ExampleList, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """What was measured, and examples of it.

    Attributes:
        ours: The system of `rows` that is evaluated; all others are there to compare it with.
        rows: Every number.
        differences: Ours against each other system, on the metric that the gate looks at.
        examples: Requests and what some of the systems answer.
        tasks: What the data are for, whether or not it could be measured: both tasks of recommendation where
            there are events, and search where there are judgments.
    """

    ours: str
    rows: tuple[MetricRow, ...]
    differences: tuple[Difference, ...]
    examples: tuple[Example, ...] = ()
    tasks: tuple[str, ...] = ()

    def value(self, system: str, task: str, metric: str) -> float | None:
        """One number over all users or queries; ``None`` if it was not measured."""
        for row in self.rows:
            if (row.system, row.task, row.metric, row.slice) == (system, task, metric, ""):
                return row.value
        return None

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(dataclasses.asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> EvaluationRecord:
        """Reads what `to_json` wrote."""
        record = json.loads(text)
        return cls(
            ours=record["ours"],
            rows=tuple(MetricRow(**row) for row in record["rows"]),
            differences=tuple(Difference(**row) for row in record["differences"]),
            examples=tuple(map(_example, record["examples"])),
            tasks=tuple(record.get("tasks", ())),
        )


def _example(example: dict[str, Any]) -> Example:
    lists = tuple(
        ExampleList(system=entry["system"], items=tuple(ListedItem(**item) for item in entry["items"]))
        for entry in example["lists"]
    )
    return Example(**{**example, "history": tuple(example["history"]), "lists": lists})
