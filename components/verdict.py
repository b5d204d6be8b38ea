"""Verdict on a model: whether it may be pushed, and why, in sentences."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from components.retrieval_evaluator.config import TASKS, EvaluationConfig
from components.retrieval_evaluator.names import (
    ALL,
    BASELINES,
    BLESSED,
    COLD_USERS,
    NOVEL,
    OURS,
    SEARCH,
    ZERO_SHOT,
)
from components.retrieval_evaluator.record import EvaluationRecord

VERDICT_FILE = "verdict.json"
_METRIC = "ndcg@10"
_NAMES = {NOVEL: "Recommendation of new items", ALL: "Recommendation", SEARCH: "Search"}
_UNMEASURED = {
    NOVEL: "no user of the test window chose something before it and something new to them in it",
    ALL: "no user of the test window chose something before it and something known in it",
    SEARCH: "no test query has a relevant item",
}
_WAY_OUT = "give the window more, or say evaluation.allow_unmeasured = true"
# An interval over fewer says nothing.
_MIN_COLD_USERS = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the model may be pushed, and why, in sentences."""

    is_blessed: bool
    reasons: tuple[str, ...]

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Reads what `to_json` wrote."""
        verdict = json.loads(text)
        return cls(is_blessed=verdict["is_blessed"], reasons=tuple(verdict["reasons"]))


def decide(measured: EvaluationRecord, config: EvaluationConfig, *, is_new_span: bool = False) -> Verdict:
    """Holds the model against its floor on each task, and against the last blessed model.

    Args:
        measured: Of the candidate, the baselines and the last blessed model, on the same users and queries.
        config: How far the candidate may fall behind.
        is_new_span: Whether the log went on since the blessed model was trained. The candidate then knows
            more than that one, and must be better at what happened since. Queries do not come in spans.
    """
    task = TASKS[config.task]
    checks = [
        *(_is_measured(measured, one, config) for one in (task, SEARCH)),
        _holds(measured, task, BASELINES, config.min_ratio_to_best_baseline),
        _holds(measured, task, BASELINES, config.min_cold_ratio, slice_=COLD_USERS),
        _holds(measured, SEARCH, (ZERO_SHOT,), config.min_ratio_to_zero_shot),
    ]
    for one in (task, SEARCH):
        if is_new_span and one == task:
            checks.append(_is_better(measured, task))
        else:
            checks.append(_holds(measured, one, (BLESSED,), 1.0 - config.max_loss_to_blessed))
    found = [check for check in checks if check is not None]
    return Verdict(
        # What says nothing at all is the record of an earlier version.
        is_blessed=bool(found) and all(passes for passes, _ in found),
        reasons=tuple(reason for _, reason in found) or ("There was nothing to measure.",),
    )


def _is_measured(measured: EvaluationRecord, task: str, config: EvaluationConfig) -> tuple[bool, str] | None:
    """Whether a model may go without a measurement of a task; ``None`` if it has one, or needs none."""
    if task not in measured.tasks or measured.value(OURS, task, _METRIC) is not None:
        return None
    way_out = "which evaluation.allow_unmeasured accepts" if config.allow_unmeasured else _WAY_OUT
    return config.allow_unmeasured, f"{_NAMES[task]} was not measured, as {_UNMEASURED[task]}; {way_out}."


def _holds(
    measured: EvaluationRecord, task: str, others: Sequence[str], least: float, *, slice_: str = ""
) -> tuple[bool, str] | None:
    """Whether ours is at least so much of the best of some others, and why; ``None`` if not measured."""
    rows = {
        row.system: row
        for row in measured.rows
        if (row.task, row.metric, row.slice) == (task, _METRIC, slice_)
    }
    best = max((rows[name] for name in others if name in rows), key=lambda row: row.value, default=None)
    ours = rows.get(OURS)
    if ours is None or best is None or (slice_ and ours.num < _MIN_COLD_USERS):
        return None
    passes = ours.value >= least * best.value
    return passes, (
        f"{_NAMES[task]}{' of users with little history' if slice_ else ''}: nDCG@10 is {ours.value:.3f}, "
        f"{'at least' if passes else 'below'} {least:g} × {best.value:.3f} ({best.system})."
    )


def _is_better(measured: EvaluationRecord, task: str) -> tuple[bool, str] | None:
    """Whether the candidate is better than the blessed model on a later span, and the reason."""
    ours, theirs = measured.value(OURS, task, _METRIC), measured.value(BLESSED, task, _METRIC)
    compared = [d for d in measured.differences if (d.system, d.baseline, d.task) == (OURS, BLESSED, task)]
    if ours is None or theirs is None or not compared:
        return None
    (difference,) = compared
    passes = difference.value > 0
    return passes, (
        f"{_NAMES[task]} on the new span: nDCG@10 is {ours:.3f} against {theirs:.3f} ({BLESSED}), "
        f"{'better' if passes else 'not better'}: {difference.value:+.4f}, paired over the same "
        f"{difference.num} users, 95 % interval {difference.low:+.4f} to {difference.high:+.4f}."
    )
