"""The strategy of training: the devices that the environment names."""

from __future__ import annotations

import os

import tensorflow as tf


def training_strategy() -> tf.distribute.Strategy:
    """A TPU by ``TPU_NAME``, workers by ``TF_CONFIG``, several GPUs if there are, else one device.

    To be called before any other operation: workers agree on their collectives when TensorFlow starts.
    """
    if os.environ.get("TPU_NAME"):
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(os.environ["TPU_NAME"])
        return tf.distribute.TPUStrategy(resolver)
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes: the only one, the one named chief, or the first worker."""
    return bool(strategy.extended.should_checkpoint)


def from_chief(strategy: tf.distribute.Strategy, value: float) -> float:
    """A number as the chief has it, in float32: what follows from it is then the same in every process.

    To be called by all of them.
    """
    if strategy.num_replicas_in_sync == 1:
        return value

    @tf.function
    def first(own: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        # The chief's replicas come first.
        kept = tf.where(tf.equal(context.replica_id_in_sync_group, 0), own, 0.0)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, kept)

    values = strategy.run(first, args=(tf.constant(value, tf.float32),))
    return float(strategy.experimental_local_results(values)[0])
