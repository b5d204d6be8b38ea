"""The warm start: a new model begins where an earlier one ended, as far as both know the same ids."""

from __future__ import annotations

import dataclasses
import json
import os

import tensorflow as tf

from dataset.errors import DataError
from dataset.manifest import Manifest
from models import weights
from models.config import ModelConfig
from models.trained import SELECTED_FILE, TOWERS_FILE, config_of
from models.two_tower import TwoTower
from models.vocabularies import Vocabularies, carried, carried_rows

_FILE = "origin.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """What a model was trained on, as far as one that begins from it must know.

    Attributes:
        starts: When its validation and test windows began, epoch seconds.
        columns: By table, the columns that the towers take, in order.
    """

    starts: tuple[int, int]
    columns: dict[str, list[str]]

    @classmethod
    def of(cls, manifest: Manifest, starts: tuple[int, int]) -> Origin:
        """Of a model on a dataset."""
        tables = {"items": manifest.items, "users": manifest.users}
        columns = {name: [*table.categorical, *table.numeric] for name, table in tables.items() if table}
        return cls(starts=starts, columns=columns)

    def save(self, folder: str) -> None:
        """Writes one file beside a model."""
        with tf.io.gfile.GFile(os.path.join(folder, _FILE), "w") as file:
            json.dump(dataclasses.asdict(self), file)

    @classmethod
    def load(cls, folder: str) -> Origin:
        """Reads what `save` wrote.

        Raises:
            DataError: The model is of a version that wrote no such file.
        """
        path = os.path.join(folder, _FILE)
        if not tf.io.gfile.exists(path):
            raise DataError(
                f"train.warm_start must begin from a model with {_FILE}, which earlier versions did not "
                f"write. Got {folder} without it; set train.warm_start = false for one run."
            )
        with tf.io.gfile.GFile(path) as file:
            saved = json.load(file)
        return cls(starts=tuple(saved["starts"]), columns=saved["columns"])


class WarmStart:
    """The weights of an earlier model.

    There are two sets. A model that is selected by the validation window begins from one that had not seen
    that window: the earlier one as it was selected, before it was fitted to its own validation window too.
    What is fitted for the test window begins from the earlier model as it was served.

    Args:
        folder: What `TrainedModel.save` and `Origin.save` wrote.
        vocabularies: Of the new model.
        model: The architecture of the new model.
        origin: Of the new model.

    Raises:
        DataError: The models differ in more than their vocabularies, or the windows have moved back in time,
            to where the earlier model has learnt.
    """

    def __init__(self, folder: str, vocabularies: Vocabularies, model: ModelConfig, origin: Origin) -> None:
        before = Origin.load(folder)
        if any(now < then for now, then in zip(origin.starts, before.starts, strict=True)):
            raise DataError(
                "train.warm_start must have validation and test windows that begin no earlier than before. "
                f"Got {origin.starts[0]} and {origin.starts[1]} after {before.starts[0]} and "
                f"{before.starts[1]}, in seconds since 1970; set train.warm_start = false for one run."
            )
        # By name: columns that only changed places have tables of the same shapes.
        if origin.columns != before.columns:
            raise DataError(
                "train.warm_start must begin from a model of the same categorical and numeric columns. Got "
                f"{json.dumps(before.columns)} before and {json.dumps(origin.columns)} now; set "
                "train.warm_start = false for one run."
            )
        earlier = config_of(folder)
        if earlier != model:
            raise DataError(
                "train.warm_start must begin from a model with the same [model] settings. Got "
                f"{earlier} before and {model} now; set train.warm_start = false for one run."
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
            content = file.read()
        saved = weights.from_bytes(content, model, os.path.join(self._folder, name), trainable_only=True)
        rows = carried_rows(model, self._before, self._now)
        for variable, value in saved:
            if id(variable) in rows:
                variable.assign(carried(value, rows[id(variable)], fresh=variable.numpy()))
            else:
                variable.assign(value)
