"""Weights of a model: one NumPy file, each weight by its name."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np

from dataset.errors import DataError


def by_name(variables: list[Any], *, model: str = "") -> dict[str, Any]:
    """Variables by name.

    Args:
        variables: Of a model or an optimizer.
        model: The model's name. Keras names what is first called inside another model after both; here a name
            begins with the model's own.

    Raises:
        ValueError: If two have one name.
    """
    named = {_within(variable.path, model): variable for variable in variables}
    if len(named) < len(variables):
        raise ValueError(f"Weights must have names of their own. Received: {[v.path for v in variables]}.")
    return named


def to_bytes(model: keras.Model, *, trainable_only: bool = False) -> bytes:
    """The weights, or those that training moves."""
    kept = [variable for variable in model.weights if variable.trainable or not trainable_only]
    buffer = io.BytesIO()
    np.savez(buffer, **{name: variable.numpy() for name, variable in by_name(kept, model=model.name).items()})
    return buffer.getvalue()


def from_bytes(
    content: bytes, model: keras.Model, source: str, *, trainable_only: bool = False
) -> list[tuple[Any, np.ndarray]]:
    """The weights of a model, each with its value.

    Args:
        content: From `to_bytes`.
        model: Whose weights are wanted.
        trainable_only: Whether only those that training moves are.
        source: Where the content is from, for the error.

    Raises:
        DataError: If a variable has no value there: the model is of another architecture or version.
    """
    saved = np.load(io.BytesIO(content))
    kept = [variable for variable in model.weights if variable.trainable or not trainable_only]
    named = by_name(kept, model=model.name)
    missing = [name for name in named if name not in saved.files]
    if missing:
        raise DataError(
            f"{source} must have the weights that this version of Tandem gives a model. Got none named "
            f"{missing[0]}; train it again with `tandem run`."
        )
    return [(variable, saved[name]) for name, variable in named.items()]


def _within(path: str, model: str) -> str:
    parts = path.split("/")
    return "/".join(parts[parts.index(model) :]) if model in parts else path
