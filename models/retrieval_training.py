"""Fits the two towers, and finds how long by what the validation split says."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from models.interactions import Contexts, InteractionSource
from models.item_table import ItemTable
from models.text_encoder import TextEncoder
from models.two_tower import TwoTower
from models.validation import dense_scores, graded_ndcg, novel_ndcg
from pipeline import features
from pipeline.config import Config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One pass of fitting: on which splits, for how long, watched by what.

    Attributes:
        name: For logs and curves.
        splits: Training splits.
        validation_split: Split that is added when the model is fitted once more.
        watched: Split whose contexts are ranked after each epoch.
        metric: nDCG@10 of scores and contexts.
        epochs: Most epochs.
    """

    name: str
    splits: tuple[str, ...]
    validation_split: str
    watched: str
    metric: Callable[[np.ndarray, Contexts], float]
    epochs: int


def phases(config: Config, *, has_events: bool, has_judgments: bool) -> list[Phase]:
    """Events first; judgments after, which are few and move the text part alone."""
    events = Phase(
        name="events",
        splits=(features.TRAIN,),
        validation_split=features.VALIDATION,
        watched=features.USERS_AT_VALIDATION,
        metric=novel_ndcg,
        epochs=config.train.epochs,
    )
    judgments = Phase(
        name="judgments",
        splits=(features.JUDGED_TRAIN,),
        validation_split=features.JUDGED_VALIDATION,
        watched=features.JUDGED_VALIDATION,
        metric=graded_ndcg,
        epochs=config.train.judgment_epochs,
    )
    return [events] * has_events + [judgments] * has_judgments


class RetrievalTrainer:
    """Builds and fits two-tower models on one catalogue.

    Args:
        items: The catalogue.
        source: The interactions.
        encoder: Makes a fresh text encoder; a trainable one must not carry over what an earlier fit taught
            it.
        config: Everything else.
        item_counts: int64 ``[num_items]``, how often each item is a target in training.
        starts: When validation and test begin, epoch seconds.
        log_dir: Where TensorBoard logs go.
    """

    def __init__(
        self,
        *,
        items: ItemTable,
        source: InteractionSource,
        encoder: Callable[[], TextEncoder],
        config: Config,
        item_counts: np.ndarray,
        starts: tuple[int, int],
        log_dir: str,
    ):
        self.items, self._source, self._encoder, self._config = items, source, encoder, config
        counts = item_counts if item_counts.any() else np.ones(len(items))
        self._probabilities = ((counts + 1) / (counts + 1).sum()).astype(np.float32)
        self._starts, self._log_dir = starts, log_dir
        self.curves: list[dict[str, Any]] = []

    def build(self) -> TwoTower:
        """A new model with the encoder as it came, the same every time for one seed."""
        keras.utils.set_random_seed(self._config.train.seed)
        model = TwoTower(
            self.items,
            self._encoder(),
            config=self._config.model,
            train=self._config.train,
            num_users=self._source.num_users,
            user_category_sizes=self._source.category_sizes,
            num_user_numbers=self._source.num_user_numbers,
            item_probabilities=self._probabilities,
        )
        model.item_tower.set_projection(self.items.text_vectors)
        return model

    def select(self, phase_list: list[Phase]) -> tuple[TwoTower, dict[str, int]]:
        """Fits on the training splits.

        Returns:
            The model with its best weights, and the best number of epochs of each phase, which may be 0.
        """
        model = self.build()
        best = {}
        for phase in phase_list:
            contexts = with_targets(self._source.load(phase.watched))

            def measure(model: TwoTower, phase: Phase = phase, contexts: Contexts = contexts) -> float:
                return phase.metric(dense_scores(model, contexts, len(self.items)), contexts)

            watch = _Watch(measure)
            self._fit(model, phase, phase.splits, phase.epochs, watch if len(contexts) else None, "select")
            best[phase.name] = watch.best_epoch if len(contexts) else phase.epochs
        return model, best

    def refit(self, phase_list: list[Phase], epochs: dict[str, int]) -> TwoTower:
        """Fits anew on training and validation splits, for as long as `select` found best."""
        model = self.build()
        for phase in phase_list:
            self._fit(
                model, phase, (*phase.splits, phase.validation_split), epochs[phase.name], None, "refit"
            )
        return model

    def _fit(
        self,
        model: TwoTower,
        phase: Phase,
        splits: tuple[str, ...],
        epochs: int,
        watch: _Watch | None,
        stage: str,
    ) -> None:
        train = self._config.train
        num_contexts = sum(self._source.count(split) for split in splits)
        if not num_contexts or not epochs:
            return
        # A batch larger than a split would hold a query twice, its answers as each other's negatives.
        train = dataclasses.replace(train, batch_size=min(train.batch_size, num_contexts))
        steps = num_contexts // train.batch_size
        end_time = self._starts[1] if phase.validation_split in splits else self._starts[0]
        schedule = keras.optimizers.schedules.CosineDecay(train.learning_rate, steps * phase.epochs)
        model.compile(
            optimizer=keras.optimizers.Adam(schedule, global_clipnorm=train.clip_norm), jit_compile=False
        )
        board = keras.callbacks.TensorBoard(
            os.path.join(self._log_dir, f"{stage}_{phase.name}"), profile_batch=0
        )
        history = model.fit(
            self._source.dataset(list(splits), train, end_time=end_time),
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=([watch] if watch else []) + [board],
            # The source shuffles.
            shuffle=False,
            verbose=0,
        )
        for name, values in history.history.items():
            points = [[epoch + 1, float(value)] for epoch, value in enumerate(values)]
            if name == _Watch.METRIC and watch is not None:
                points.insert(0, [0, watch.first])
            self.curves.append({"phase": f"{phase.name} ({stage})", "metric": name, "points": points})


class _Watch(keras.callbacks.Callback):
    """Ranks the validation split before and after every epoch, and restores the best weights at the end."""

    METRIC = "val_ndcg@10"

    def __init__(self, measure: Callable[[TwoTower], float]):
        super().__init__()
        self._measure = measure
        self.best_epoch, self.first = 0, 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.first = self._best = self._measure(self.model)
        self._keep()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        value = self._measure(self.model)
        if logs is not None:
            logs[self.METRIC] = value
        if value > self._best:
            self._best, self.best_epoch = value, epoch + 1
            self._keep()

    def _keep(self) -> None:
        self._weights = [variable.numpy() for variable in self.model.trainable_variables]

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        for variable, value in zip(self.model.trainable_variables, self._weights, strict=True):
            variable.assign(value)


def with_targets(contexts: Contexts) -> Contexts:
    """The contexts that have a target of positive weight."""
    has_target = [bool(len(rows)) and bool(weights.max() > 0) for rows, weights in _pairs(contexts)]
    return contexts.take(np.flatnonzero(has_target)) if len(contexts) else contexts


def _pairs(contexts: Contexts) -> Any:
    return zip(contexts.targets, contexts.weights, strict=True)
