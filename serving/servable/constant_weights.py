"""Small weights as constants of the graph that reads them, where a variable would be passed down to it."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

# Of larger ones, each function that reads them would hold a copy that counts.
_MAX_SIZE = 1 << 16


class ConstantWeights(keras.StatelessScope):
    """A scope within which functions that are traced read weights as constants.

    A variable that a branch reads is an input of every function on the way to it, at each request.

    Args:
        weights: Trained weights; the larger ones stay variables, and later changes of the others are not
            seen.
    """

    def __init__(self, weights: Iterable[keras.Variable]) -> None:
        super().__init__()
        self._arrays: dict[int, np.ndarray] = {
            id(weight): weight.numpy() for weight in weights if np.prod(weight.shape) <= _MAX_SIZE
        }

    def get_current_value(self, variable: keras.Variable) -> tf.Tensor | None:
        """The weight in the graph that is being traced; ``None`` if it stays a variable."""
        array = self._arrays.get(id(variable))
        return None if array is None else tf.constant(array)
