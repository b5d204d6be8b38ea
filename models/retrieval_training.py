"""Training of the two towers, for as many epochs as the validation split says."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dataset.errors import DataError
from models.backup import Backup, Progress
from models.budget import Budget
from models.config import ModelConfig, TrainConfig
from models.fitting import Adam, batch_unit, fit
from models.interactions import Contexts, InteractionSource, Targets
from models.item_table import ItemTable
from models.phases import Phase, with_targets
from models.recency_sample import RecencySample, recency
from models.strategy import from_chief, is_chief
from models.text_encoder import TextEncoder
from models.two_tower import TwoTower
from models.validation import mean_measure
from models.warm_start import WarmStart

_METRIC = "val_ndcg@10"
# Contexts that are ranked after each epoch, at about this many.
_MOST_WATCHED = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Draw:
    """The contexts that an epoch draws from.

    Attributes:
        splits: Which.
        end_time: Epoch seconds from which their ages are counted.
        sample: How many of them, and how probably each.
        counts: float ``[num_items]``, how often an item is a target in an epoch; ``None`` if all are drawn.
    """

    splits: tuple[str, ...]
    end_time: int
    sample: RecencySample
    counts: np.ndarray | None


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
        budget: The time there is; ``None`` for any.
        dislikes: From epoch seconds to what users disliked before, as `TwoTower` takes it; ``None`` where
            nobody dislikes anything.
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
        budget: Budget | None = None,
        dislikes: Callable[[int], np.ndarray] | None = None,
    ) -> None:
        self.items, self._source, self._encoder = items, source, encoder
        self._model, self._train = model, train
        self._counts = item_counts if item_counts.any() else np.ones(len(items))
        self._starts, self._log_dir, self._strategy = starts, log_dir, strategy
        self._warm_start, self._budget = warm_start, budget or Budget()
        self._step_s, self._dislikes = 0.0, dislikes
        self._backups = os.path.join(log_dir, "backups")
        self.curves: list[dict[str, Any]] = []

    def build(self, draw: _Draw | None = None) -> TwoTower:
        """A new model with the encoder as it came, the same every time for one seed.

        Args:
            draw: What it will be fitted to; ``None`` to look at it only.
        """
        keras.utils.set_random_seed(self._train.seed)
        counts = self._counts if draw is None or draw.counts is None else draw.counts
        with self._strategy.scope():
            model = TwoTower(
                self.items,
                self._encoder(),
                config=self._model,
                train=self._train,
                num_users=self._source.num_users,
                user_category_sizes=self._source.category_sizes,
                num_user_numbers=self._source.num_user_numbers,
                item_probabilities=((counts + 1) / (counts + 1).sum()).astype(np.float32),
                dislikes=self._dislikes(draw.end_time) if self._dislikes and draw else None,
            )
            model.item_tower.set_projection(self.items.text_vectors)
        return model

    def select(self, phase_list: list[Phase]) -> tuple[TwoTower, dict[str, int]]:
        """Fits on the training splits.

        Returns:
            The model with its best weights, and the best number of epochs of each phase, which may be 0.
        """
        draws = [self._draw(phase.splits, self._starts[0]) for phase in phase_list]
        model = self.build(draws[0] if draws else None)
        if self._warm_start is not None:
            self._warm_start.selected(model)
        # The second fit takes as long as the first.
        budget, best = self._budget.share(0.5 if self._train.refit else 1.0), {}
        for place, (phase, draw) in enumerate(zip(phase_list, draws, strict=True)):
            contexts = with_targets(self._source.load(phase.watched), of_new=phase.of_new)
            contexts = contexts.take(np.arange(len(contexts))[:: len(contexts) // _MOST_WATCHED + 1])

            def measure(phase: Phase = phase, contexts: Contexts = contexts) -> float:
                return mean_measure(model, contexts, len(self.items), phase.metric)

            progress = self._fit(
                model,
                phase,
                draw,
                phase.epochs,
                measure if len(contexts) else None,
                f"select_{phase.name}",
                budget.share(1 / (len(phase_list) - place)),
            )
            best[phase.name] = progress.best_epoch if len(contexts) else progress.num_epochs
        return model, best

    def refit(self, phase_list: list[Phase], epochs: dict[str, int]) -> TwoTower | None:
        """Fits anew on training and validation splits, for as long as `select` found best.

        Returns:
            The model, or ``None`` if there is no time to fit all of it.
        """
        draws = [self._draw((*phase.splits, phase.validation_split), self._starts[1]) for phase in phase_list]
        num_steps = sum(
            epochs[phase.name] * self._batches(draw.sample.num_contexts)[1]
            for phase, draw in zip(phase_list, draws, strict=True)
        )
        budget = self._budget
        if not budget.is_endless and self._from_chief(num_steps * self._step_s > budget.left_s()):
            budget.cut("The towers were not fitted once more with the validation window.")
            return None
        model = self.build(draws[0] if draws else None)
        if self._warm_start is not None:
            self._warm_start.served(model)
        for phase, draw in zip(phase_list, draws, strict=True):
            num_cuts = len(budget.cuts)
            self._fit(model, phase, draw, epochs[phase.name], None, f"refit_{phase.name}", budget)
            if len(budget.cuts) > num_cuts:
                budget.cut("So the towers are those that have not learnt from the validation window.")
                return None
        return model

    def _from_chief(self, is_so: bool) -> bool:
        return bool(from_chief(self._strategy, float(is_so)))

    def _draw(self, splits: tuple[str, ...], end_time: int) -> _Draw:
        """How the contexts of some splits are drawn for an epoch."""
        targets = Targets.joined([self._source.targets(split) for split in splits])
        recencies = recency(targets.times, end_time, self._train.recency_half_life_days).numpy()
        sample = RecencySample.of(recencies, self._train.max_contexts)
        counts = None
        if not sample.is_all:
            weights = sample.probability(recencies).numpy()[targets.contexts]
            counts = np.bincount(targets.rows, weights, minlength=len(self.items))
        return _Draw(splits=splits, end_time=end_time, sample=sample, counts=counts)

    def remove_backups(self) -> None:
        """To be called when what was trained is saved."""
        if is_chief(self._strategy) and tf.io.gfile.exists(self._backups):
            tf.io.gfile.rmtree(self._backups)

    def _fit(
        self,
        model: TwoTower,
        phase: Phase,
        draw: _Draw,
        epochs: int,
        measure: Callable[[], float] | None,
        name: str,
        budget: Budget,
    ) -> Progress:
        """Fits one phase, or what a restart left of it; the model ends with its best weights."""
        progress = Progress()
        if not draw.sample.num_contexts or not epochs:
            return progress
        train, num_steps = self._batches(draw.sample.num_contexts)
        schedule = keras.optimizers.schedules.CosineDecay(train.learning_rate, num_steps * phase.epochs)
        with self._strategy.scope():
            optimizer = Adam(schedule, global_clipnorm=train.clip_norm, name="adam")
            optimizer.build(model.trainable_variables)
        with tf.device("CPU"):
            best = [tf.Variable(v.numpy()) for v in model.trainable_variables] if measure else []
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

        def after_epoch(loss: float) -> bool:
            progress.losses.append(loss)
            keep_best()
            backup.save()
            with logs.as_default(step=progress.num_epochs):
                tf.summary.scalar("loss", loss)
                if measure:
                    tf.summary.scalar(_METRIC, progress.measures[-1])
            return is_done()

        def is_done() -> bool:
            return progress.num_epochs - progress.best_epoch >= train.patience

        if not progress.measures:
            keep_best()
        started = time.monotonic()
        num_done = fit(
            model,
            self._source.dataset(list(draw.splits), train, end_time=draw.end_time, sample=draw.sample),
            strategy=self._strategy,
            optimizer=optimizer,
            train=train,
            num_steps=num_steps,
            epochs=range(progress.num_epochs, progress.num_epochs if is_done() else epochs),
            after_epoch=after_epoch,
            is_over=lambda: not budget.is_endless and self._from_chief(budget.is_spent),
        )
        if num_done:
            self._step_s = max(self._step_s, (time.monotonic() - started) / num_done)
        num_planned = (epochs - begun) * num_steps
        if num_done < num_planned and not is_done():
            budget.cut(f"The fit of the towers {name} ended after {num_done} of {num_planned} steps.")
        if measure:
            _assign(model.trainable_variables, best)
        self._add_curves(f"{phase.name} ({name.partition('_')[0]})", progress)
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
