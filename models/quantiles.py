"""Normalisation by quantiles: each feature becomes as if it were drawn from a normal distribution."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.stats import norm

_LARGEST = 3e38


class QuantileNormalisation(keras.layers.Layer):
    """Maps each feature through its own quantiles to those of the standard normal distribution.

    Between two knots it is linear, beyond the outermost it is flat. Values that many examples share, which
    are several knots at once, take the mean of those knots.

    Args:
        num_features: Width of the last axis.
        num_knots: Quantiles of each feature.

    Call arguments:
        inputs: float32 ``[..., num_features]``.

    Returns:
        float32 ``[..., num_features]``.
    """

    def __init__(self, num_features: int, *, num_knots: int = 64, **kwargs: Any) -> None:
        super().__init__(**{"trainable": False} | kwargs)
        self.num_features, self.num_knots = num_features, num_knots
        shape = (num_features, num_knots)
        self.knots = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="knots")
        self.values = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="values")

    def adapt(self, examples: np.ndarray) -> None:
        """Takes the quantiles of float32 ``[n, num_features]`` examples."""
        count = self.num_knots
        gauss = norm.ppf(np.linspace(0.5 / count, 1 - 0.5 / count, count)).astype(np.float32)
        quantiles = np.quantile(examples, np.linspace(0, 1, count), axis=0).astype(np.float32).T
        knots = np.full((self.num_features, count), _LARGEST, np.float32)
        values = np.zeros((self.num_features, count), np.float32)
        for feature, found in enumerate(quantiles):
            distinct, first, shared = np.unique(found, return_index=True, return_counts=True)
            knots[feature, : len(distinct)] = distinct
            values[feature, : len(distinct)] = np.add.reduceat(gauss, first) / shared
            values[feature, len(distinct) :] = values[feature, len(distinct) - 1]
        self.knots.assign(knots)
        self.values.assign(values)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        flat = tf.transpose(tf.reshape(inputs, [-1, self.num_features]))
        knots, values = tf.convert_to_tensor(self.knots), tf.convert_to_tensor(self.values)
        above = tf.clip_by_value(tf.searchsorted(knots, flat, side="right"), 1, self.num_knots - 1)
        low, high = (tf.gather(knots, place, batch_dims=1) for place in (above - 1, above))
        start, end = (tf.gather(values, place, batch_dims=1) for place in (above - 1, above))
        share = tf.clip_by_value((flat - low) / tf.maximum(high - low, 1e-12), 0.0, 1.0)
        return tf.reshape(tf.transpose(start + share * (end - start)), tf.shape(inputs))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_features": self.num_features, "num_knots": self.num_knots}
