from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from dataset.errors import DataError
from models import retrieval_training
from models.budget import Budget
from models.phases import phases, with_targets
from models.retrieval_training import RetrievalTrainer
from models.validation import mean_measure
from tests.models.contexts import make_contexts
from tests.models.distributed import TinySource, configured, make_trainer


def trainer_of(folder: Path, **train: Any) -> RetrievalTrainer:
    return make_trainer(folder, tf.distribute.get_strategy(), configured(**train))


class ThreeReplicas:
    num_replicas_in_sync = 3


def test_batch_that_does_not_fall_into_equal_parts_is_refused(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, batch_size=8, accumulation_steps=2)
    trainer._strategy = ThreeReplicas()  # type: ignore[assignment]

    with pytest.raises(DataError, match=r"train\.batch_size must be a multiple of .* replicas, 6\. Got 8\."):
        trainer._batches(24)


@pytest.mark.parametrize(
    ("num_contexts", "size", "num_steps"), [(24, 10, 2), (7, 5, 1), (5, 5, 1), (2, 5, 1)]
)
def test_batch_shrinks_to_the_parts_a_small_split_fills(
    tmp_path: Path, num_contexts: int, size: int, num_steps: int
) -> None:
    train, steps = trainer_of(tmp_path, batch_size=10, accumulation_steps=5)._batches(num_contexts)

    assert (train.batch_size, steps) == (size, num_steps)


def test_workers_that_go_on_from_different_epochs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(tmp_path, epochs=1)
    monkeypatch.setattr(retrieval_training, "from_chief", lambda strategy, value: value + 1)

    with pytest.raises(DataError, match=r"go on from one backup\. Got epoch 0 here and 1 at the chief"):
        trainer.refit(phases(configured(epochs=1).train, has_events=True, has_judgments=False), {"events": 1})


def test_only_contexts_that_can_be_measured_are_watched() -> None:
    """Nothing chosen; chosen again; again and anew; anew; and nothing that counts."""
    contexts = make_contexts(
        targets=[[], [1], [1, 2], [3], [4]],
        histories=[[1], [1, 2], [1], [], []],
        weights=[[], [1.0], [1.0, 1.0], [0.5], [0.0]],
    )

    of_all, of_new = (with_targets(contexts, of_new=of_new).user_ids.tolist() for of_new in (False, True))

    assert of_all == [b"user-1", b"user-2", b"user-3"]
    assert of_new == [b"user-2", b"user-3"]


class Clock:
    """A clock that every look moves by a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_time_that_is_over_leaves_the_best_weights_and_says_what_was_cut(tmp_path: Path) -> None:
    train = configured(epochs=50, batch_size=2).train
    trainer = trainer_of(tmp_path, epochs=50, batch_size=2)
    clock = Clock()
    trainer._budget = budget = Budget(0.4, clock=clock)
    phase_list = phases(train, has_events=True, has_judgments=False)

    model, epochs = trainer.select(phase_list)
    clock.now += 60.0
    again = trainer.refit(phase_list, epochs)

    [measures] = [c["points"] for c in trainer.curves if c["metric"] == "val_ndcg@10"]
    assert 0 < len(measures) - 1 < 50
    best = max(value for _, value in measures)
    [phase] = phase_list
    contexts = with_targets(TinySource().load(phase.watched), of_new=True)
    assert mean_measure(model, contexts, len(trainer.items), phase.metric) == pytest.approx(best, rel=1e-5)
    assert again is None
    assert len(budget.cuts) == 2
    assert budget.cuts[0].startswith("The fit of the towers select_events ended after ")


def test_phase_ends_when_validation_is_no_better_for_a_while(tmp_path: Path) -> None:
    said = iter([0.1, 0.3, 0.2, 0.25, 0.9])
    trainer = trainer_of(tmp_path, epochs=9, patience=2)
    [phase] = phases(configured(epochs=9).train, has_events=True, has_judgments=False)
    phase = dataclasses.replace(phase, metric=lambda scores, contexts: next(said))

    _, epochs = trainer.select([phase])

    assert epochs == {"events": 1}
    assert [len(curve["points"]) for curve in trainer.curves] == [3, 4]
