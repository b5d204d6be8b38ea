"""Classify: the classes and scores of examples, with the checks of the real server in its order and words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2

from serving.server.batching.scheduler import OnDisconnect
from serving.server.methods.examples import run_on_examples
from serving.server.methods.signatures import find_signature, resolved_spec, shape_text, type_name
from serving.server.status_error import invalid_argument
from serving.server.versions.loaded_model import LoadedModel

Array = np.ndarray[Any, Any]

_INPUTS = tf.saved_model.CLASSIFY_INPUTS
_CLASSES = tf.saved_model.CLASSIFY_OUTPUT_CLASSES
_SCORES = tf.saved_model.CLASSIFY_OUTPUT_SCORES


def classify(
    model: LoadedModel,
    request: classification_pb2.ClassificationRequest,
    *,
    timeout_s: float | None = None,
    on_disconnect: OnDisconnect | None = None,
) -> classification_pb2.ClassificationResponse:
    """Answers the request with ``model``; the version in the answer's spec is left to the caller.

    Args:
        model: What answers.
        request: Examples, and the name of a signature that classifies.
        timeout_s: How long it may take.
        on_disconnect: As ``LoadedModel.run`` takes it.

    Raises:
        StatusError: When a check or the graph itself refuses the request.
    """
    signature = find_signature(model, request.model_spec)
    feed, fetches = classification_tensors(model, signature)
    outputs, num_examples = run_on_examples(
        model,
        request.input,
        feed,
        fetches,
        model_name=request.model_spec.name,
        api="Classify",
        timeout_s=timeout_s,
        on_disconnect=on_disconnect,
    )
    return classification_pb2.ClassificationResponse(
        model_spec=resolved_spec(request.model_spec),
        result=classification_result(signature, outputs, num_examples),
    )


def classification_tensors(
    model: LoadedModel, signature: meta_graph_pb2.SignatureDef
) -> tuple[str, list[str]]:
    """The names of the tensor that a signature that classifies takes and of those it gives.

    Raises:
        StatusError: When the signature does not classify.
    """
    if model.checks_method_names and signature.method_name != tf.saved_model.CLASSIFY_METHOD_NAME:
        raise invalid_argument(
            "Expected classification signature method_name to be "
            f"{tf.saved_model.CLASSIFY_METHOD_NAME}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise invalid_argument(f"No classification inputs found in SignatureDef: {signature}")
    fetches = [signature.outputs[alias].name for alias in (_CLASSES, _SCORES) if alias in signature.outputs]
    if not fetches:
        raise invalid_argument(
            f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or '
            f'"{_SCORES}". Signature was: {signature}'
        )
    return signature.inputs[_INPUTS].name, fetches


def classification_result(
    signature: meta_graph_pb2.SignatureDef, outputs: Mapping[str, Array], num_examples: int
) -> classification_pb2.ClassificationResult:
    """The outputs as the answer has them.

    Args:
        signature: The one that was run.
        outputs: Of it, by the name of the tensor: classes, bytes (object) ``[num_examples, num_classes]``,
            and scores, float32 of the same shape, or one of them.
        num_examples: How many examples were classified.

    Raises:
        StatusError: When the outputs have other types or shapes.
    """
    found = {
        alias: outputs[signature.outputs[alias].name]
        for alias in (_CLASSES, _SCORES)
        if alias in signature.outputs
    }
    for alias, array in found.items():
        _check(alias, array, num_examples)
    widths = [array.shape[1] for array in found.values()]
    if len(set(widths)) > 1:
        raise invalid_argument(
            f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[1]}"
        )
    result = classification_pb2.ClassificationResult()
    rows = {alias: array.tolist() for alias, array in found.items()}
    for example in range(num_examples):
        classes = result.classifications.add().classes
        for index in range(widths[0]):
            class_ = classes.add()
            if _CLASSES in rows:
                # A label is text in the answer and any bytes in the tensor.
                class_.label = rows[_CLASSES][example][index].decode(errors="replace")
            if _SCORES in rows:
                class_.score = rows[_SCORES][example][index]
    return result


def _check(alias: str, array: Array, num_examples: int) -> None:
    if array.ndim != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(array)}")
    expected = "DT_STRING" if alias == _CLASSES else "DT_FLOAT"
    if type_name(array) != expected:
        raise invalid_argument(f"Expected {alias} Tensor of {expected}. Got: {type_name(array)}")
    if len(array) != num_examples:
        raise invalid_argument(f"Expected {alias} output batch size of {num_examples}. Got: {len(array)}")
