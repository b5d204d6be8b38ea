"""Regress: one value for each example, with the checks of the real server in its order and words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import regression_pb2

from serving.server.batching.scheduler import OnDisconnect
from serving.server.methods.examples import run_on_examples
from serving.server.methods.signatures import find_signature, resolved_spec, shape_text, type_name
from serving.server.status_error import invalid_argument
from serving.server.versions.loaded_model import LoadedModel

_INPUTS = tf.saved_model.REGRESS_INPUTS
_OUTPUTS = tf.saved_model.REGRESS_OUTPUTS


def regress(
    model: LoadedModel,
    request: regression_pb2.RegressionRequest,
    *,
    timeout_s: float | None = None,
    on_disconnect: OnDisconnect | None = None,
) -> regression_pb2.RegressionResponse:
    """Answers the request with ``model``; the version in the answer's spec is left to the caller.

    Args:
        model: What answers.
        request: Examples, and the name of a signature that regresses.
        timeout_s: How long it may take.
        on_disconnect: As ``LoadedModel.run`` takes it.

    Raises:
        StatusError: When a check or the graph itself refuses the request.
    """
    signature = find_signature(model, request.model_spec)
    feed, fetches = regression_tensors(model, signature)
    outputs, num_examples = run_on_examples(
        model,
        request.input,
        feed,
        fetches,
        model_name=request.model_spec.name,
        api="Regress",
        timeout_s=timeout_s,
        on_disconnect=on_disconnect,
    )
    return regression_pb2.RegressionResponse(
        model_spec=resolved_spec(request.model_spec),
        result=regression_result(signature, outputs, num_examples),
    )


def regression_tensors(model: LoadedModel, signature: meta_graph_pb2.SignatureDef) -> tuple[str, list[str]]:
    """The names of the tensor that a signature that regresses takes and of the one it gives.

    Raises:
        StatusError: When the signature does not regress.
    """
    if model.checks_method_names and signature.method_name != tf.saved_model.REGRESS_METHOD_NAME:
        raise invalid_argument(
            f"Expected regression signature method_name to be {tf.saved_model.REGRESS_METHOD_NAME}. "
            f"Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if _INPUTS not in signature.inputs:
        raise invalid_argument(f"No regression inputs found in SignatureDef: {signature}")
    if _OUTPUTS not in signature.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {signature}")
    return signature.inputs[_INPUTS].name, [signature.outputs[_OUTPUTS].name]


def regression_result(
    signature: meta_graph_pb2.SignatureDef, outputs: Mapping[str, np.ndarray[Any, Any]], num_examples: int
) -> regression_pb2.RegressionResult:
    """The output as the answer has it.

    Args:
        signature: The one that was run.
        outputs: Of it, by the name of the tensor: float32 ``[num_examples]`` or ``[num_examples, 1]``.
        num_examples: How many examples were given.

    Raises:
        StatusError: When the output has another type or shape.
    """
    values = outputs[signature.outputs[_OUTPUTS].name]
    if values.ndim != 1 and (values.ndim != 2 or values.shape[1] != 1):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{shape_text(values)}"
        )
    if len(values) != num_examples:
        raise invalid_argument(
            f"Input batch size did not match output batch size: {num_examples} vs. {len(values)}"
        )
    if values.dtype != np.float32:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {type_name(values)}")
    regressions = [regression_pb2.Regression(value=value) for value in values.reshape(-1).tolist()]
    return regression_pb2.RegressionResult(regressions=regressions)
