"""Training of the two towers, for as many epochs as the validation split says."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dataset import features
from dataset.errors import DataError
from models.backup import Backup, Progress
from models.config import ModelConfig, TrainConfig
from models.fitting import Adam, batch_unit, fit
from models.interactions import Contexts, InteractionSource
from models.item_table import ItemTable
from models.strategy import from_chief, is_chief
from models.text_encoder import TextEncoder
from models.two_tower import TwoTower
from models.validation import dense_scores, graded_ndcg, novel_ndcg
from models.warm_start import WarmStart

_METRIC = "val_ndcg@10"
# Moments of sessions that are ranked after each epoch, at about this many.
_MOST_MOMENTS = 10_000


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


class RetrievalTrainer:
    """Builds and fits two-tower models on one catalogue.

    Args:
        items: The catalogue.
        source: The interactions.
        encoder: Makes a fresh text encoder; a trainable one must not carry over what an earlier fit taught
            it.
        model: The architecture.
        train: How it is fitted.
        item_counts: int64 ``[num_items]``, how often each item is a target in training.
        starts: When validation and test begin, epoch seconds.
        log_dir: Where TensorBoard logs and backups go.
        strategy: Which devices.
        warm_start: Where to begin; ``None`` for the encoder as it came.
    """

    def __init__(
        self,
        *,
        items: ItemTable,
        source: InteractionSource,
        encoder: Callable[[], TextEncoder],
        model: ModelConfig,
        train: TrainConfig,
        item_counts: np.ndarray,
        starts: tuple[int, int],
        log_dir: str,
        strategy: tf.distribute.Strategy,
        warm_start: WarmStart | None = None,
    ) -> None:
        self.items, self._source, self._encoder = items, source, encoder
        self._model, self._train = model, train
        counts = item_counts if item_counts.any() else np.ones(len(items))
        self._probabilities = ((counts + 1) / (counts + 1).sum()).astype(np.float32)
        self._starts, self._log_dir, self._strategy = starts, log_dir, strategy
        self._warm_start = warm_start
        self._backups = os.path.join(log_dir, "backups")
        self.curves: list[dict[str, Any]] = []

    def build(self) -> TwoTower:
        """A new model with the encoder as it came, the same every time for one seed."""
        keras.utils.set_random_seed(self._train.seed)
        with self._strategy.scope():
            model = TwoTower(
                self.items,
                self._encoder(),
                config=self._model,
                train=self._train,
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
        if self._warm_start is not None:
            self._warm_start.selected(model)
        best = {}
        for phase in phase_list:
            contexts = with_targets(self._source.load(phase.watched), of_new=phase.of_new)
            if phase.watched == features.VALIDATION:
                contexts = contexts.take(np.arange(len(contexts))[:: len(contexts) // _MOST_MOMENTS + 1])

            def measure(phase: Phase = phase, contexts: Contexts = contexts) -> float:
                return phase.metric(dense_scores(model, contexts, len(self.items)), contexts)

            progress = self._fit(
                model, phase, phase.splits, phase.epochs, measure if len(contexts) else None, "select"
            )
            best[phase.name] = progress.best_epoch if len(contexts) else phase.epochs
        return model, best

    def refit(self, phase_list: list[Phase], epochs: dict[str, int]) -> TwoTower:
        """Fits anew on training and validation splits, for as long as `select` found best."""
        model = self.build()
        if self._warm_start is not None:
            self._warm_start.served(model)
        for phase in phase_list:
            self._fit(
                model, phase, (*phase.splits, phase.validation_split), epochs[phase.name], None, "refit"
            )
        return model

    def remove_backups(self) -> None:
        """To be called when what was trained is saved."""
        if is_chief(self._strategy) and tf.io.gfile.exists(self._backups):
            tf.io.gfile.rmtree(self._backups)

    def _fit(
        self,
        model: TwoTower,
        phase: Phase,
        splits: tuple[str, ...],
        epochs: int,
        measure: Callable[[], float] | None,
        stage: str,
    ) -> Progress:
        """Fits one phase, or what a restart left of it; the model ends with its best weights."""
        progress = Progress()
        num_contexts = sum(self._source.count(split) for split in splits)
        if not num_contexts or not epochs:
            return progress
        train, num_steps = self._batches(num_contexts)
        end_time = self._starts[1] if phase.validation_split in splits else self._starts[0]
        schedule = keras.optimizers.schedules.CosineDecay(train.learning_rate, num_steps * phase.epochs)
        with self._strategy.scope():
            optimizer = Adam(schedule, global_clipnorm=train.clip_norm, name="adam")
            optimizer.build(model.trainable_variables)
        with tf.device("CPU"):
            best = [tf.Variable(v.numpy()) for v in model.trainable_variables] if measure else []
        name = f"{stage}_{phase.name}"
        backup = Backup(
            os.path.join(self._backups, name), self._strategy, model, optimizer, progress=progress, best=best
        )
        backup.restore()
        begun = int(from_chief(self._strategy, progress.num_epochs))
        if progress.num_epochs != begun:
            raise DataError(
                f"All workers must go on from one backup. Got epoch {progress.num_epochs} here and {begun} "
                f"at the chief; let them share {self._log_dir}."
            )
        logs = self._logs(name)

        def keep_best() -> None:
            if measure:
                progress.measures.append(from_chief(self._strategy, measure()))
                if progress.best_epoch == progress.num_epochs:
                    _assign(best, model.trainable_variables)

        def after_epoch(loss: float) -> None:
            progress.losses.append(loss)
            keep_best()
            backup.save()
            with logs.as_default(step=progress.num_epochs):
                tf.summary.scalar("loss", loss)
                if measure:
                    tf.summary.scalar(_METRIC, progress.measures[-1])

        if not progress.measures:
            keep_best()
        fit(
            model,
            self._source.dataset(list(splits), train, end_time=end_time),
            strategy=self._strategy,
            optimizer=optimizer,
            train=train,
            num_steps=num_steps,
            epochs=range(progress.num_epochs, epochs),
            after_epoch=after_epoch,
        )
        if measure:
            _assign(model.trainable_variables, best)
        self._add_curves(f"{phase.name} ({stage})", progress)
        return progress

    def _batches(self, num_contexts: int) -> tuple[TrainConfig, int]:
        """The settings with a batch that the contexts fill, and the number of steps of an epoch."""
        train, unit = self._train, batch_unit(self._strategy, self._train)
        if train.batch_size % unit:
            raise DataError(
                "train.batch_size must be a multiple of train.accumulation_steps times the number of "
                f"replicas, {unit}. Got {train.batch_size}."
            )
        # A batch larger than a split would hold a query twice, its answers as each other's negatives.
        size = max(min(train.batch_size, num_contexts) // unit, 1) * unit
        return dataclasses.replace(train, batch_size=size), max(num_contexts // size, 1)

    def _logs(self, name: str) -> tf.summary.SummaryWriter:
        if is_chief(self._strategy):
            return tf.summary.create_file_writer(os.path.join(self._log_dir, name))
        return tf.summary.create_noop_writer()

    def _add_curves(self, phase: str, progress: Progress) -> None:
        losses = [[epoch + 1, loss] for epoch, loss in enumerate(progress.losses)]
        self.curves.append({"phase": phase, "metric": "loss", "points": losses})
        if progress.measures:
            measures = [[epoch, value] for epoch, value in enumerate(progress.measures)]
            self.curves.append({"phase": phase, "metric": _METRIC, "points": measures})


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value.numpy())


def with_targets(contexts: Contexts, *, of_new: bool) -> Contexts:
    """The contexts that have a target of positive weight, and one that is not in the history if `of_new`."""
    lists = zip(contexts.targets, contexts.weights, contexts.histories, strict=True)
    has_target = [
        bool(((weights > 0) & ~(of_new & np.isin(rows, history))).any()) for rows, weights, history in lists
    ]
    return contexts.take(np.flatnonzero(has_target)) if len(contexts) else contexts
