"""Settings of the evaluation: what is measured, and what a model must reach."""

from __future__ import annotations

import dataclasses

from components.retrieval_evaluator.names import ALL, NOVEL
from dataset.settings import require

# What recommendations are for, and the task that measures it.
TASKS = {"discovery": NOVEL, "reorder": ALL}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is measured, and the thresholds of the gate.

    Attributes:
        task: What recommendations are for: ``discovery`` of what a user had not before (NOVEL), or
            ``reorder``, where repeats count (ALL). The next two thresholds are of this task.
        min_ratio_to_best_baseline: nDCG@10 over that of the best baseline, at least.
        min_cold_ratio: The same for users with little history, at least; looked at where there are 50 of
            them.
        min_ratio_to_zero_shot: Search nDCG@10 over that of the encoder as it came, at least.
        max_loss_to_blessed: Relative loss of nDCG@10 against the last blessed model, at most, where both were
            trained on the same span of events; on a later span the new model must be better.
        allow_unmeasured: Whether a model may be blessed although the test window, or the test queries, cannot
            measure what the data are for: recommendation where there are events, search where there are
            judgments.
        max_drift: Distance of a column from the last span, or of the newest window from the training data,
            from 0 to 1, above which the report names it.
        max_ease_items: Catalogue size above which EASE, which inverts an items-by-items matrix, is left out.
    """

    task: str = "discovery"
    min_ratio_to_best_baseline: float = 1.0
    min_cold_ratio: float = 0.8
    min_ratio_to_zero_shot: float = 0.9
    max_loss_to_blessed: float = 0.05
    allow_unmeasured: bool = False
    max_drift: float = 0.1
    max_ease_items: int = 20_000

    def __post_init__(self) -> None:
        require(self.task in TASKS, f"evaluation.task must be one of {', '.join(TASKS)}", self.task)
        for name in (
            "min_ratio_to_best_baseline",
            "min_cold_ratio",
            "min_ratio_to_zero_shot",
            "max_loss_to_blessed",
        ):
            require(getattr(self, name) >= 0, f"evaluation.{name} must be at least 0", getattr(self, name))
        require(0 < self.max_drift <= 1, "evaluation.max_drift must be above 0 to 1", self.max_drift)
        require(self.max_ease_items >= 0, "evaluation.max_ease_items must be at least 0", self.max_ease_items)
