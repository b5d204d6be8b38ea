"""Trains the tiny retrieval model on several devices, in a process of its own: TensorFlow sets them up once.

As a module it is told ``replicas OUTPUT``, to take a few steps on one CPU and on two logical ones and to
train on one, or ``worker OUTPUT``, to train as the worker that ``TF_CONFIG`` says.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models import retrieval_training
from models.config import TrainConfig
from models.fitting import Adam, fit, make_step
from models.interactions import Contexts, Targets
from models.phases import phases
from models.recency_sample import RecencySample
from models.retrieval_training import RetrievalTrainer
from models.strategy import is_chief, training_strategy
from models.validation import novel_ndcg
from pipeline.config import Config
from tests import tiny
from tests.models.contexts import make_contexts

NUM_CONTEXTS = 24


class TinySource:
    """Stands for `InteractionSource`, of which nothing but this is used in training."""

    num_users = tiny.NUM_USERS
    category_sizes = tiny.USER_CATEGORY_SIZES
    num_user_numbers = tiny.NUM_USER_NUMBERS

    def targets(self, split: str) -> Targets:
        none = np.zeros(0, np.int32)
        return Targets(times=np.zeros(NUM_CONTEXTS, np.int64), contexts=none, rows=none)

    def load(self, split: str) -> Contexts:
        inputs = tiny.make_inputs(NUM_CONTEXTS, seed=1)
        return make_contexts(inputs=inputs, targets=[[row % 12, row % 5] for row in range(NUM_CONTEXTS)])

    def dataset(
        self, splits: list[str], train: TrainConfig, *, end_time: int, sample: RecencySample
    ) -> tf.data.Dataset:
        data = tf.data.Dataset.from_tensor_slices(tiny.make_inputs(NUM_CONTEXTS, seed=2))
        data = data.shuffle(NUM_CONTEXTS, seed=train.seed).repeat()
        return data.batch(train.batch_size, drop_remainder=True)


def make_trainer(folder: Path, strategy: tf.distribute.Strategy, config: Config) -> RetrievalTrainer:
    items = tiny.make_items()
    return RetrievalTrainer(
        items=items,
        source=TinySource(),  # type: ignore[arg-type]
        encoder=lambda: tiny.make_encoder(trainable_part=config.model.trainable),
        model=config.model,
        train=config.train,
        item_counts=np.arange(len(items)),
        starts=(0, 0),
        log_dir=str(folder),
        strategy=strategy,
    )


def configured(*, trainable: str = "frozen", **train: Any) -> Config:
    return dataclasses.replace(
        tiny.CONFIG,
        model=dataclasses.replace(tiny.CONFIG.model, trainable=trainable),
        train=dataclasses.replace(tiny.CONFIG.train, **train),
    )


def train_on_replicas(output: Path) -> None:
    """Writes the losses of three steps on one device and on two, and the first clipped gradients."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    # Two replicas share 8 contexts of 2 targets, and 21 items to encode, in parts of 11.
    config = configured(trainable="full", batch_size=8, clip_norm=1.0)
    written: dict[str, Any] = {}
    strategies = {
        "one": tf.distribute.get_strategy(),
        "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }
    for name, strategy in strategies.items():
        model = make_trainer(output, strategy, config).build()
        tiny.randomise(model, scale=0.05)
        with strategy.scope():
            optimizer = Adam(1e-3, global_clipnorm=config.train.clip_norm)
            optimizer.build(model.trainable_variables)
        sample = RecencySample.of(np.ones(NUM_CONTEXTS), NUM_CONTEXTS)
        data = TinySource().dataset([], config.train, end_time=0, sample=sample)
        batches = iter(strategy.experimental_distribute_dataset(data))
        step = make_step(model, strategy, optimizer, config.train)
        written[f"{name}_losses"] = [step(next(batches)).numpy()]
        for i, momentum in enumerate(optimizer._momentums):
            for replica, value in enumerate(strategy.experimental_local_results(momentum.value)):
                # The first momentum is a tenth of the gradient.
                written[f"{name}_gradient_{i:02d}_{replica}"] = 10.0 * value.numpy()
        written[f"{name}_losses"] += [step(next(batches)).numpy() for _ in range(2)]
    np.savez(output / "replicas.npz", **written)
    train(output)


def train(output: Path) -> None:
    """Fits twice, as the Trainer does, on what the environment says; the chief writes what came of it."""
    strategy = training_strategy()
    tf.config.experimental.enable_op_determinism()
    config = configured(batch_size=8, epochs=2)
    trainer = make_trainer(output, strategy, config)
    first_epochs = []

    def fit_and_note(*arguments: Any, epochs: range, **others: Any) -> int:
        first_epochs.append(epochs.start)
        return fit(*arguments, epochs=epochs, **others)

    setattr(retrieval_training, "fit", fit_and_note)  # noqa: B010 (no export of it)
    [phase] = phases(config.train, has_events=True, has_judgments=False)
    if not is_chief(strategy):
        # Left to itself, it would choose another epoch.
        phase = dataclasses.replace(phase, metric=lambda *measured: -novel_ndcg(*measured))
    phase_list = [phase]
    selected, best = trainer.select(phase_list)
    model = trainer.refit(phase_list, {"events": 4})
    assert model is not None
    variables = [*selected.trainable_variables, *model.trainable_variables]
    weights = [float(np.abs(variable.numpy()).sum()) for variable in variables]
    (output / f"best-{os.getpid()}.json").write_text(json.dumps(best))
    if is_chief(strategy):
        result = {"curves": trainer.curves, "best": best, "weights": weights, "first": first_epochs}
        (output / "result.json").write_text(json.dumps(result))
    trainer.remove_backups()


if __name__ == "__main__":
    {"replicas": train_on_replicas, "worker": train}[sys.argv[1]](Path(sys.argv[2]))
