"""Backups of a fit, written after every epoch, so that a killed one goes on where it was."""

from __future__ import annotations

import json
from typing import Any

import keras
import tensorflow as tf

from dataset.errors import DataError
from models.strategy import is_chief
from models.weights import by_name


class Progress(tf.train.experimental.PythonState):
    """What is known of a fit after each epoch.

    Attributes:
        losses: The mean loss of each epoch.
        measures: The measure before the first epoch and after each, if there is one.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.measures: list[float] = []

    @property
    def num_epochs(self) -> int:
        """How many are done."""
        return len(self.losses)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest measure; 0 is before any."""
        return self.measures.index(max(self.measures)) if self.measures else self.num_epochs

    def serialize(self) -> str:
        """All of it as JSON."""
        return json.dumps([self.losses, self.measures])

    def deserialize(self, content: bytes) -> None:
        """Reads what `serialize` wrote."""
        self.losses, self.measures = json.loads(content)


class Backup:
    """Checkpoints of a model, its optimizer, its random seeds and its progress.

    Keras's ``BackupAndRestore`` leaves out the seeds, so what it resumes is another run.

    Args:
        folder: Where they go; the same for all workers, and for the process that goes on.
        strategy: Its chief writes; all read.
        model: Its weights that change, and its seeds.
        optimizer: Built.
        further: What else to keep, by name.
    """

    def __init__(
        self,
        folder: str,
        strategy: tf.distribute.Strategy,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        **further: Any,
    ) -> None:
        weights = {id(variable) for variable in model.weights}
        self._checkpoint = tf.train.Checkpoint(
            weights=_values(model.trainable_weights),
            optimizer=_values(optimizer.variables),
            # A layer's own seed has no name.
            seeds=[variable.value for variable in model.variables if id(variable) not in weights],
            **further,
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint, folder, max_to_keep=1)
        self._writes = is_chief(strategy)

    def restore(self) -> None:
        """Restores the last checkpoint, if there is one.

        Raises:
            DataError: If it is of another model.
        """
        path = tf.train.latest_checkpoint(self._manager.directory)
        try:
            if path:
                self._checkpoint.restore(path).assert_consumed()
        except AssertionError:
            raise DataError(
                "A fit that goes on must be of the model that was backed up. Got a backup of another one, or "
                f"of another version, in {self._manager.directory}; remove that folder to begin anew."
            ) from None

    def save(self) -> None:
        """Replaces the last checkpoint by what is now."""
        if self._writes:
            self._manager.save()


def _values(variables: list[Any]) -> dict[str, Any]:
    return {name: variable.value for name, variable in by_name(variables).items()}
