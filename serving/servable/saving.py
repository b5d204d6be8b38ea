"""The writer of a servable: a SavedModel whose branches cost nothing where they are not taken."""

from __future__ import annotations

import os
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

_LOWERED = "_lower_using_switch_merge"


def save_servable(
    module: tf.Module, folder: str, signatures: dict[str, tf.types.experimental.ConcreteFunction]
) -> None:
    """Writes a SavedModel.

    By default TensorFlow spreads both branches of a condition into the graph around it, where a switch for
    each of their inputs, and what is dead behind it, runs at every request; and all of it is optimised before
    the first one. Here a branch stays a function, which is called if it is taken.

    Args:
        module: What to save.
        folder: Where to.
        signatures: By name.
    """
    tf.saved_model.save(module, folder, signatures=signatures)
    path = os.path.join(folder, tf.saved_model.SAVED_MODEL_FILENAME_PB)
    with tf.io.gfile.GFile(path, "rb") as file:
        saved = SavedModel.FromString(file.read())
    for node in _nodes(saved):
        if node.op in ("If", "StatelessIf"):
            node.attr[_LOWERED].b = False
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(saved.SerializeToString(deterministic=True))


def _nodes(saved: SavedModel) -> Iterator[NodeDef]:
    for graph in saved.meta_graphs:
        yield from graph.graph_def.node
        for function in graph.graph_def.library.function:
            yield from function.node_def
