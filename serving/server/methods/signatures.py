"""What the kinds of request share: finding a signature, naming it in the answer, describing tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import model_pb2

from serving.server.status_error import invalid_argument
from serving.server.versions.loaded_model import LoadedModel


def signature_name(spec: model_pb2.ModelSpec) -> str:
    """The name of the signature that is asked for."""
    return spec.signature_name or tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


def find_signature(model: LoadedModel, spec: model_pb2.ModelSpec) -> meta_graph_pb2.SignatureDef:
    """The signature that a request of examples asks for.

    Raises:
        StatusError: When the model does not have it.
    """
    name = signature_name(spec)
    if name not in model.signatures:
        raise invalid_argument(f"No signature was found with the name: {name}")
    return model.signatures[name]


def resolved_spec(spec: model_pb2.ModelSpec) -> model_pb2.ModelSpec:
    """The spec of the answer, still without the version."""
    return model_pb2.ModelSpec(name=spec.name, signature_name=signature_name(spec))


def shape_text(array: np.ndarray[Any, Any]) -> str:
    """An array's shape as the real server writes it."""
    return f"[{','.join(map(str, array.shape))}]"


def type_name(array: np.ndarray[Any, Any]) -> str:
    """An array's type as the real server writes it."""
    return types_pb2.DataType.Name(tf.as_dtype(array.dtype).as_datatype_enum)
