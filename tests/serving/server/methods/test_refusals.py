"""The protocol as the real server behaves, as a table: examples sent to a servable that answers only Predict.

Runs against our own server, or against another one where ``SERVER_ADDRESS`` and ``SERVER_REST_ADDRESS`` name
it; that one must serve what ``python -m tests.serving.tiny_model DIR`` writes, as ``tandem``.
"""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, regression_pb2

from tests.serving.server.requests import RESOLUTION, Change, failure, own_server_only
from tests.serving.server.rest.asking import Ask, error_of

_CLASSIFY, _REGRESS = tf.saved_model.CLASSIFY_METHOD_NAME, tf.saved_model.REGRESS_METHOD_NAME

# Model and signature -> code, the code's HTTP status, message.
EXAMPLES = [
    ("nobody", "search", "NOT_FOUND", 404, "Servable not found for request: Latest(nobody)"),
    ("tandem", "nothing", "INVALID_ARGUMENT", 400, "No signature was found with the name: nothing"),
    ("tandem", "search", "INVALID_ARGUMENT", 400, "Expected one input Tensor."),
    ("tandem", "", "INVALID_ARGUMENT", 400, "Expected one input Tensor."),
]
# Model, signature and method of the first task -> code, message.
TASKS = [
    ("nobody", "search", _CLASSIFY, "NOT_FOUND", "Servable not found for request: Latest(nobody)"),
    ("", "search", _CLASSIFY, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    (
        "tandem",
        "nothing",
        _CLASSIFY,
        "INVALID_ARGUMENT",
        "Requested signature not found in model graph: nothing",
    ),
    ("tandem", "search", _CLASSIFY, "INVALID_ARGUMENT", "Expected one input Tensor."),
    ("tandem", "", _REGRESS, "INVALID_ARGUMENT", "Expected one input Tensor."),
    (
        "tandem",
        "search",
        tf.saved_model.PREDICT_METHOD_NAME,
        "UNIMPLEMENTED",
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
]


def _input() -> input_pb2.Input:
    message = input_pb2.Input()
    message.example_list.examples.add().features.feature["text"].bytes_list.value.append(b"apron")
    return message


def _request(method: str, model: str = "tandem", signature: str = "search") -> Any:
    kinds = {
        "Classify": classification_pb2.ClassificationRequest,
        "Regress": regression_pb2.RegressionRequest,
    }
    request = kinds[method](input=_input())
    request.model_spec.name, request.model_spec.signature_name = model, signature
    return request


@pytest.mark.parametrize(("change", "code", "message"), RESOLUTION)
@pytest.mark.parametrize("method", ["Classify", "Regress"])
def test_model_is_resolved_in_order(
    prediction: Any, method: str, change: Change, code: str, message: str
) -> None:
    request = _request(method)
    change(request)

    assert failure(lambda: getattr(prediction, method)(request)) == (code, message)


@pytest.mark.parametrize(("model", "signature", "code", "status", "message"), EXAMPLES)
@pytest.mark.parametrize("method", ["Classify", "Regress"])
def test_examples_are_refused_over_grpc_and_rest(
    prediction: Any,
    predict: Ask,
    method: str,
    model: str,
    signature: str,
    code: str,
    status: int,
    message: str,
) -> None:
    request = _request(method, model, signature)
    body = {"signature_name": signature, "examples": [{"text": "apron"}]}

    response = predict(body, f"/v1/models/{model}:{method.lower()}")

    assert failure(lambda: getattr(prediction, method)(request)) == (code, message)
    assert (response.status_code, error_of(response)) == (status, message)


@pytest.mark.parametrize(("model", "signature", "method_name", "code", "message"), TASKS)
def test_multi_inference_is_refused_for_its_first_task(
    prediction: Any, model: str, signature: str, method_name: str, code: str, message: str
) -> None:
    request = inference_pb2.MultiInferenceRequest(input=_input())
    task = request.tasks.add(method_name=method_name)
    task.model_spec.name, task.model_spec.signature_name = model, signature
    request.tasks.add()

    assert failure(lambda: prediction.MultiInference(request)) == (code, message)


def test_multi_inference_without_a_task_names_no_model(prediction: Any) -> None:
    assert failure(lambda: prediction.MultiInference(inference_pb2.MultiInferenceRequest())) == (
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
    )


@own_server_only
def test_signature_that_could_take_examples_is_not_answered_here(prediction: Any) -> None:
    assert failure(lambda: prediction.Classify(_request("Classify", signature="measure"))) == (
        "UNIMPLEMENTED",
        "This server answers Predict only; tensorflow_model_server may answer examples with measure.",
    )
