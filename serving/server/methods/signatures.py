"""Names of signatures in requests and answers, which all kinds of request share."""

from __future__ import annotations

import tensorflow as tf
from tensorflow_serving.apis import model_pb2


def signature_name(spec: model_pb2.ModelSpec) -> str:
    """The name of the signature that is asked for."""
    return spec.signature_name or tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


def resolved_spec(spec: model_pb2.ModelSpec) -> model_pb2.ModelSpec:
    """The spec of the answer, still without the version."""
    return model_pb2.ModelSpec(name=spec.name, signature_name=signature_name(spec))
