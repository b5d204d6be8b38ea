"""The writer of a servable: a SavedModel whose branches cost nothing where they are not taken."""

from __future__ import annotations

import os
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

_LOWERED = "_lower_using_switch_merge"
_FUSED_ONLY = ConfigProto()
_FUSED_ONLY.graph_options.rewrite_options.optimizers.append("remap")
_FUSED_ONLY.graph_options.rewrite_options.meta_optimizer_iterations = RewriterConfig.ONE


def save_servable(
    module: tf.Module, folder: str, signatures: dict[str, tf.types.experimental.ConcreteFunction]
) -> None:
    """Writes a SavedModel.

    By default TensorFlow spreads both branches of a condition into the graph around it, where a switch for
    each of their inputs, and what is dead behind it, runs at every request; and all of it is optimised before
    the first one. Here a branch stays a function, which is called if it is taken. Of the optimiser's passes a
    function keeps the one that fuses ops: the others take seconds before the first answer and gain nothing.

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
        elif node.op in ("PartitionedCall", "StatefulPartitionedCall"):
            node.attr["config_proto"].s = _FUSED_ONLY.SerializeToString()
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(saved.SerializeToString(deterministic=True))


def _nodes(saved: SavedModel) -> Iterator[NodeDef]:
    for graph in saved.meta_graphs:
        yield from graph.graph_def.node
        for function in graph.graph_def.library.function:
            yield from function.node_def
