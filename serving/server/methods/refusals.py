"""Refusals of Classify, Regress and MultiInference, in the real server's words for a Predict signature.

The servable has no other signatures, and none that takes one tensor alone.
"""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
import tensorflow as tf

from serving.server.methods.signatures import signature_name
from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.loaded_model import LoadedModel

_METHOD_NAMES = (tf.saved_model.CLASSIFY_METHOD_NAME, tf.saved_model.REGRESS_METHOD_NAME)


def refuse_examples(model: LoadedModel, request: Any, **limits: Any) -> NoReturn:
    """Refuses a request of Classify or Regress.

    Args:
        model: The model that is asked.
        request: A message whose ``model_spec`` names the signature.
        limits: The same as for ``predict``; nothing is run, so they do not matter.

    Raises:
        StatusError: In every case.
    """
    name = signature_name(request.model_spec)
    if name not in model.signatures:
        raise invalid_argument(f"No signature was found with the name: {name}")
    _refuse_signature(model, name)


def refuse_tasks(model: LoadedModel, request: Any) -> NoReturn:
    """Refuses a request of MultiInference for its first task, the only one that the real server looks at.

    Raises:
        StatusError: In every case.
    """
    task = request.tasks[0]
    name = signature_name(task.model_spec)
    if name not in model.signatures:
        raise invalid_argument(f"Requested signature not found in model graph: {name}")
    if task.method_name not in _METHOD_NAMES:
        raise StatusError(
            grpc.StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}"
        )
    _refuse_signature(model, name)


def _refuse_signature(model: LoadedModel, name: str) -> NoReturn:
    if len(model.signatures[name].inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    raise StatusError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"This server answers Predict only; tensorflow_model_server may answer examples with {name}.",
    )
