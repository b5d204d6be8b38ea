"""The fit of a model on whatever devices there are: one step, run by `tf.distribute` on every replica.

Keras's own ``fit`` does not run on workers in several processes, and clips each replica's gradients on its
own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from models import replicas
from models.config import TrainConfig

Inputs = dict[str, tf.Tensor]
# Steps after which the clock is looked at; workers must then agree.
_ASKED_STEPS = 8


class Fitted(Protocol):
    """What `fit` asks of a model, beside being a Keras one."""

    trainable_variables: list[Any]

    def weighted(self, inputs: Inputs) -> Inputs:
        """The inputs of a whole step, their weights set so that `mean_loss` may be averaged over parts."""

    def mean_loss(self, inputs: Inputs) -> tf.Tensor:
        """The mean loss of one replica's part: float32 ``[]``."""

    def layers_in_16_bits(self) -> list[keras.layers.Layer]:
        """The layers that mixed precision computes so; what they give is cast back."""


class Adam(keras.optimizers.Adam):
    """Takes gradients already summed over the replicas, so that what is clipped is the norm of the sum."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars


def batch_unit(strategy: tf.distribute.Strategy, train: TrainConfig) -> int:
    """What a batch must be a multiple of to fall into equal parts."""
    return int(strategy.num_replicas_in_sync) * train.accumulation_steps


def fit(
    model: Fitted,
    data: tf.data.Dataset,
    *,
    strategy: tf.distribute.Strategy,
    optimizer: Adam,
    train: TrainConfig,
    num_steps: int,
    epochs: range,
    after_epoch: Callable[[float], bool | None],
    is_over: Callable[[], bool] = lambda: False,
) -> int:
    """Runs the steps of some epochs.

    Args:
        model: Made in the strategy's scope.
        data: Endless batches of static shape, the same every time it is read, of all replicas together.
        strategy: Which devices.
        optimizer: Made in the strategy's scope.
        train: Precision and accumulation.
        num_steps: Steps an epoch.
        epochs: Which; the data of those before are skipped.
        after_epoch: Told the mean loss. If it says true, no other epoch follows.
        is_over: Asked now and then whether the time is over. If so, the epoch ends with the steps it has.

    Returns:
        The number of steps done.
    """
    num_done = 0
    if not epochs:
        return num_done
    options = tf.data.Options()
    # Every worker reads all and keeps its part of each batch: batches do not depend on how many there are.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = data.skip(epochs.start * num_steps).with_options(options)
    step = make_step(model, strategy, optimizer, train)
    batches = iter(strategy.experimental_distribute_dataset(data))
    for _ in epochs:
        losses: list[tf.Tensor] = []
        while len(losses) < num_steps and not (len(losses) % _ASKED_STEPS == 0 and is_over()):
            losses.append(step(next(batches)))
        num_done += len(losses)
        is_done = after_epoch(float(np.mean([loss.numpy() for loss in losses]))) if losses else True
        if is_done or len(losses) < num_steps:
            break
    return num_done


def make_step(
    model: Fitted, strategy: tf.distribute.Strategy, optimizer: Adam, train: TrainConfig
) -> Callable[[Any], tf.Tensor]:
    """One training step: from a distributed batch to its loss, float32 ``[]``, with the weights updated."""

    def replica_step(inputs: Inputs) -> tf.Tensor:
        loss, gradients = gradients_of(model, inputs, train.accumulation_steps)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    # As in Keras: its layers are not written for autograph.
    @tf.function(autograph=False)
    def step(inputs: Any) -> tf.Tensor:
        # Replicas are traced in turns, so the precision is set around all of them.
        with _computing_in(train.precision, model.layers_in_16_bits()):
            losses = strategy.run(replica_step, args=(inputs,))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    return step


def gradients_of(model: Fitted, inputs: Inputs, num_parts: int) -> tuple[tf.Tensor, list[Any]]:
    """The gradients of the whole step, from each replica's part of the batch.

    A part is computed in `num_parts` smaller ones, one after another, which takes less memory. In-batch
    negatives are then those of the smaller part; nothing else changes.

    Returns:
        This replica's share of the loss, float32 ``[]``, and the gradients, summed over the replicas.
    """
    inputs = model.weighted(inputs)
    num_shares = num_parts * replicas.num_replicas()
    split = {name: tf.split(values, num_parts) for name, values in inputs.items()}
    loss, gradients = tf.zeros([]), [None] * len(model.trainable_variables)
    for part in range(num_parts):
        # Without it TensorFlow computes all parts at once, in the memory of all.
        done = [g for g in tf.nest.flatten(gradients, expand_composites=True) if g is not None]
        with tf.control_dependencies(done):
            with tf.GradientTape() as tape:
                part_loss = model.mean_loss({name: parts[part] for name, parts in split.items()}) / num_shares
            own = tape.gradient(part_loss, model.trainable_variables)
        loss += part_loss
        gradients = [_add(a, b) for a, b in zip(gradients, own, strict=True)]
    if replicas.num_replicas() > 1:
        exist = [g for g in gradients if g is not None]
        summed = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, exist))
        gradients = [None if g is None else next(summed) for g in gradients]
    return loss, gradients


def _add(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, tf.IndexedSlices) and isinstance(b, tf.IndexedSlices):
        values, indices = tf.concat([a.values, b.values], 0), tf.concat([a.indices, b.indices], 0)
        return tf.IndexedSlices(values, indices, a.dense_shape)
    return a + b


@contextlib.contextmanager
def _computing_in(precision: str, layers: list[keras.layers.Layer]) -> Iterator[None]:
    """Sets the precision of layers while a step is traced: only there, so all that is served has 32 bits."""
    before = [layer.dtype_policy for layer in layers]
    if precision != "float32":
        for layer in layers:
            layer.dtype_policy = precision
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy
