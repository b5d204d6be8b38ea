"""A new model begins where an earlier one ended, as far as both know the same ids."""

from __future__ import annotations

import io
import json
import os

import numpy as np
import tensorflow as tf

from models.trained import SELECTED_FILE, TOWERS_FILE, config_of
from models.two_tower import TwoTower
from models.vocabularies import Vocabularies, carried, carried_rows
from pipeline.config import Config
from pipeline.errors import DataError

_STARTS_FILE = "starts.json"


def save_starts(folder: str, starts: tuple[int, int]) -> None:
    """Writes beside a model where its validation and test windows began."""
    with tf.io.gfile.GFile(os.path.join(folder, _STARTS_FILE), "w") as file:
        json.dump(starts, file)


class WarmStart:
    """The weights of an earlier model.

    There are two sets. A model that is selected by the validation window begins from one that had not seen
    that window: the earlier one as it was selected, before it was fitted to its own validation window too.
    What is fitted for the test window begins from the earlier model as it was served.

    Args:
        folder: What `TrainedModel.save` and `save_starts` wrote.
        vocabularies: Of the new model.
        config: Of the new model.
        starts: Where the new validation and test windows begin.

    Raises:
        DataError: The models differ in more than their vocabularies, or the windows have moved back in time,
            to where the earlier model has learnt.
    """

    def __init__(self, folder: str, vocabularies: Vocabularies, config: Config, starts: tuple[int, int]):
        with tf.io.gfile.GFile(os.path.join(folder, _STARTS_FILE)) as file:
            before = tuple(json.load(file))
        if any(now < then for now, then in zip(starts, before, strict=True)):
            raise DataError(
                "train.warm_start must have validation and test windows that begin no earlier than before. "
                f"Got {starts[0]} and {starts[1]} after {before[0]} and {before[1]}, in seconds since 1970; "
                "set train.warm_start = false for one run."
            )
        earlier = config_of(folder)
        if earlier.model != config.model:
            raise DataError(
                "train.warm_start must begin from a model with the same [model] settings. Got "
                f"{earlier.model} before and {config.model} now; set train.warm_start = false for one run."
            )
        self._folder, self._now, self._before = folder, vocabularies, Vocabularies.load(folder)

    def selected(self, model: TwoTower) -> None:
        """Sets the weights of a model whose epochs the validation window will choose."""
        path = os.path.join(self._folder, SELECTED_FILE)
        # Without one, the earlier model was not fitted to its validation window at all.
        self._assign(model, SELECTED_FILE if tf.io.gfile.exists(path) else TOWERS_FILE)

    def served(self, model: TwoTower) -> None:
        """Sets the weights of a model that is measured on the test window next."""
        self._assign(model, TOWERS_FILE)

    def _assign(self, model: TwoTower, name: str) -> None:
        """Sets what training moves; ids that are new keep the rows the model has."""
        with tf.io.gfile.GFile(os.path.join(self._folder, name), "rb") as file:
            saved = np.load(io.BytesIO(file.read()))
        try:
            rows = carried_rows(model, self._before, self._now)
            values = {
                id(variable): saved[f"{position:05d}"]
                for position, variable in enumerate(model.weights)
                if variable.trainable
            }
            for variable in model.trainable_variables:
                value = values[id(variable)]
                if id(variable) in rows:
                    value = carried(value, rows[id(variable)], fresh=variable.numpy())
                variable.assign(value)
        except (KeyError, ValueError) as error:
            raise DataError(
                "train.warm_start must begin from a model of the same columns. Got other categorical or "
                "numeric columns than before; set train.warm_start = false for one run."
            ) from error
