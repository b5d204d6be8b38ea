"""Whether a model may be pushed, and why, in sentences."""

from __future__ import annotations

from components.retrieval_evaluator.recommendation import NOVEL
from components.retrieval_evaluator.search import SEARCH
from components.retrieval_evaluator.systems import BLESSED, OURS, POPULAR, ZERO_SHOT, Measured
from pipeline.config import EvaluationConfig
from pipeline.report.data import Gate

_METRIC = "ndcg@10"
_NAMES = {NOVEL: "Recommendation of new items", SEARCH: "Search"}


def decide(measured: Measured, config: EvaluationConfig) -> Gate:
    """Holds the model against its floor on each task, and against the last blessed model."""
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
            passes = ours >= least * theirs
            is_blessed &= passes
            reasons.append(
                f"{_NAMES[task]}: nDCG@10 is {ours:.3f}, {'at least' if passes else 'below'} {least:g} × "
                f"{theirs:.3f} ({other})."
            )
    return Gate(
        is_blessed=is_blessed, reasons=tuple(reasons or ["There was nothing to measure in the test split."])
    )
