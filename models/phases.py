"""The phases of training the towers: on which splits, for how long, watched by what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from dataset import features
from models.config import TrainConfig
from models.interactions import Contexts
from models.validation import graded_ndcg, novel_ndcg


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One pass of fitting: on which splits, for how long, watched by what.

    Attributes:
        name: For logs and curves.
        splits: Training splits.
        validation_split: Split that is added when the model is fitted once more.
        watched: Split whose contexts are ranked after each epoch.
        metric: nDCG@10 of scores and contexts.
        of_new: Whether it looks at what is not in the history alone.
        epochs: Most epochs.
    """

    name: str
    splits: tuple[str, ...]
    validation_split: str
    watched: str
    metric: Callable[[np.ndarray, Contexts], float]
    of_new: bool
    epochs: int


def phases(
    train: TrainConfig, *, has_events: bool, has_judgments: bool, within_sessions: bool = False
) -> list[Phase]:
    """Events first; judgments after, which are few and move the text part alone.

    Where users are sessions, what is watched is each moment of them, as nobody is there before the window.
    """
    events = Phase(
        name="events",
        splits=(features.TRAIN,),
        validation_split=features.VALIDATION,
        watched=features.VALIDATION if within_sessions else features.USERS_AT_VALIDATION,
        metric=novel_ndcg,
        of_new=True,
        epochs=train.epochs,
    )
    judgments = Phase(
        name="judgments",
        splits=(features.JUDGED_TRAIN,),
        validation_split=features.JUDGED_VALIDATION,
        watched=features.JUDGED_VALIDATION,
        metric=graded_ndcg,
        of_new=False,
        epochs=train.judgment_epochs,
    )
    return [events] * has_events + [judgments] * has_judgments


def with_targets(contexts: Contexts, *, of_new: bool) -> Contexts:
    """The contexts that have a target of positive weight, and one that is not in the history if `of_new`."""
    lists = zip(contexts.targets, contexts.weights, contexts.histories, strict=True)
    has_target = [
        bool(((weights > 0) & ~(of_new & np.isin(rows, history))).any()) for rows, weights, history in lists
    ]
    return contexts.take(np.flatnonzero(has_target)) if len(contexts) else contexts
