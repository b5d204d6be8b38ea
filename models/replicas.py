"""The exchange between the replicas of a step, so that their number changes no result.

Called by the step inside `tf.distribute.Strategy.run`, where every replica has an equal part of the batch.
With one replica each of these returns what it was given.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def num_replicas() -> int:
    """How many take part in the step."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def mean(value: tf.Tensor) -> tf.Tensor:
    """The mean of a tensor over the replicas."""
    if num_replicas() == 1:
        return value
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value)


def gather(values: tf.Tensor) -> tf.Tensor:
    """The ``[n, …]`` tensors of all replicas: ``[n * num_replicas, …]``; gradients flow back to each."""
    if num_replicas() == 1:
        return values
    gathered = tf.distribute.get_replica_context().all_gather(values, axis=0)
    # Collectives between workers forget the shape.
    return tf.ensure_shape(gathered, [values.shape[0] * num_replicas(), *values.shape[1:]])


def own_share(rows: tf.Tensor) -> tf.Tensor:
    """This replica's part of int32 ``[n]`` rows that all have: each computes with its own, all `gather`.

    Returns:
        int32 ``[ceil(n / num_replicas)]``; the last parts are filled up with row 0.
    """
    count = num_replicas()
    if count == 1:
        return rows
    size = -(-rows.shape[0] // count)
    padded = tf.pad(rows, [[0, size * count - rows.shape[0]]])
    return tf.slice(padded, [_own_id() * size], [size])


def own_first(values: tf.Tensor, size: int) -> tf.Tensor:
    """Rotates the first ``size * num_replicas`` of ``[n, …]`` values so that this replica's come first."""
    count = num_replicas()
    if count == 1:
        return values
    parts, rest = values[: size * count], values[size * count :]
    return tf.concat([tf.roll(parts, -_own_id() * size, axis=0), rest], axis=0)


def uniform(shape: Any, seed: keras.random.SeedGenerator) -> tf.Tensor:
    """This replica's rows of one draw from [0, 1) for the whole batch.

    The seeds of all replicas go in step: each on its own would draw the same numbers for other examples.
    """
    count = num_replicas()
    if count == 1 or tf.distribute.in_cross_replica_context():
        return keras.random.uniform(shape, seed=seed)
    drawn = keras.random.uniform((shape[0] * count, *shape[1:]), seed=seed)
    return tf.reshape(drawn, (count, *shape))[_own_id()]


def _own_id() -> Any:
    return tf.distribute.get_replica_context().replica_id_in_sync_group
