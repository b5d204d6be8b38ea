"""Verdict on a model: whether it may be pushed, and why, in sentences."""

from __future__ import annotations

import dataclasses
import json

from components.retrieval_evaluator.config import EvaluationConfig
from components.retrieval_evaluator.names import BLESSED, NOVEL, OURS, POPULAR, SEARCH, ZERO_SHOT
from components.retrieval_evaluator.record import EvaluationRecord

VERDICT_FILE = "verdict.json"
_METRIC = "ndcg@10"
_NAMES = {NOVEL: "Recommendation of new items", SEARCH: "Search"}


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
    reasons, is_blessed = [], True
    floors = {
        NOVEL: (POPULAR, config.min_ratio_to_popularity),
        SEARCH: (ZERO_SHOT, config.min_ratio_to_zero_shot),
    }
    for task, (baseline, ratio) in floors.items():
        for other, least in ((baseline, ratio), (BLESSED, 1.0 - config.max_loss_to_blessed)):
            ours, theirs = measured.value(OURS, task, _METRIC), measured.value(other, task, _METRIC)
            if ours is None or theirs is None:
                continue
            if is_new_span and (task, other) == (NOVEL, BLESSED):
                passes, sentence = _is_better(measured, ours, theirs)
            else:
                passes = ours >= least * theirs
                sentence = (
                    f"{_NAMES[task]}: nDCG@10 is {ours:.3f}, {'at least' if passes else 'below'} {least:g} × "
                    f"{theirs:.3f} ({other})."
                )
            is_blessed &= passes
            reasons.append(sentence)
    return Verdict(
        is_blessed=is_blessed, reasons=tuple(reasons or ["There was nothing to measure in the test split."])
    )


def _is_better(measured: EvaluationRecord, ours: float, theirs: float) -> tuple[bool, str]:
    """Whether the candidate is better than the blessed model on a later span, and the reason."""
    (difference,) = (
        d for d in measured.differences if (d.system, d.baseline, d.task) == (OURS, BLESSED, NOVEL)
    )
    passes = difference.value > 0
    return passes, (
        f"{_NAMES[NOVEL]} on the new span: nDCG@10 is {ours:.3f} against {theirs:.3f} ({BLESSED}), "
        f"{'better' if passes else 'not better'}: {difference.value:+.4f}, paired over the same "
        f"{difference.num} users, 95 % interval {difference.low:+.4f} to {difference.high:+.4f}."
    )
