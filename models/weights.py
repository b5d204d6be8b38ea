"""Weights of a model: one NumPy file, each weight by its name."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np

from dataset.errors import DataError


def by_name(variables: list[Any]) -> dict[str, Any]:
    """Variables by name.

    Raises:
        ValueError: If two have one name.
    """
    named = {variable.path: variable for variable in variables}
    if len(named) < len(variables):
        raise ValueError(f"Weights must have names of their own. Received: {[v.path for v in variables]}.")
    return named


def to_bytes(model: keras.Model, *, trainable_only: bool = False) -> bytes:
    """The weights, or those that training moves."""
    kept = [variable for variable in model.weights if variable.trainable or not trainable_only]
    buffer = io.BytesIO()
    np.savez(buffer, **{name: variable.numpy() for name, variable in by_name(kept).items()})
    return buffer.getvalue()


def from_bytes(content: bytes, variables: list[Any], source: str) -> dict[str, np.ndarray]:
    """The values of variables, by their names.

    Args:
        content: From `to_bytes`.
        variables: Those wanted.
        source: Where the content is from, for the error.

    Raises:
        DataError: If a variable has no value there: the model is of another architecture or version.
    """
    saved = np.load(io.BytesIO(content))
    missing = [name for name in by_name(variables) if name not in saved.files]
    if missing:
        raise DataError(
            f"{source} must have the weights that this version of Tandem gives a model. Got none named "
            f"{missing[0]}; train it again with `tandem run`."
        )
    return {name: saved[name] for name in by_name(variables)}
