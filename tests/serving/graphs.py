"""SavedModels of a few nodes, written by hand, so that they may hold what no TensorFlow here would write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2


def node(op: str, *, inputs: Sequence[str] = (), **attrs: Any) -> node_def_pb2.NodeDef:
    """A node whose attrs are types, whole numbers or texts."""
    made = node_def_pb2.NodeDef(name=op.lower().replace(">", "_"), op=op, input=inputs)
    for name, value in attrs.items():
        if isinstance(value, tf.DType):
            made.attr[name].type = value.as_datatype_enum
        elif isinstance(value, int):
            made.attr[name].i = value
        else:
            made.attr[name].s = value.encode()
    return made


def write(
    folder: Path,
    *nodes: node_def_pb2.NodeDef,
    in_function: Sequence[node_def_pb2.NodeDef] = (),
    tag: str = "serve",
    min_consumer: int = 0,
) -> Path:
    """Writes a SavedModel with ``nodes``, and with a function ``inner`` of its own if that is to have any."""
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = saved_model.meta_graphs.add()
    meta_graph.meta_info_def.tags.append(tag)
    meta_graph.graph_def.node.extend(nodes)
    meta_graph.graph_def.versions.producer = 2000
    meta_graph.graph_def.versions.min_consumer = min_consumer
    if in_function:
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = "inner"
        function.node_def.extend(in_function)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    return folder
