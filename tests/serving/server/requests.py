"""Requests that are right, for the tests to spoil; and what is wrong with them, in the server's words."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

Change = Callable[[Any], None]

# The marked tests hold for our own server only, or need more of the server than an address tells.
own_server_only = pytest.mark.skipif(
    "SERVER_ADDRESS" in os.environ, reason="starts a server of its own, so SERVER_ADDRESS is not asked"
)


def predict_request(signature: str = "embed_query") -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tandem"
    request.model_spec.signature_name = signature
    inputs: dict[str, Any] = {
        "query": ["hello"],
        "user_id": [""],
        "history": np.full((1, 0), b"", np.object_),
    }
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, dtype=tf.string))
    request.inputs["history_times"].CopyFrom(tf.make_tensor_proto(np.zeros((1, 0), np.int64)))
    request.inputs["now"].CopyFrom(tf.make_tensor_proto(np.zeros(1, np.int64)))
    return request


def metadata_request() -> Any:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tandem"
    return request


def status_request(name: str = "tandem", *, version: int | None = None, label: str = "") -> Any:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    return request


def failure(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and the text of the call, which must fail."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code().name, error.value.details() or ""


def _no_spec(request: Any) -> None:
    request.ClearField("model_spec")


def _no_name(request: Any) -> None:
    request.model_spec.name = ""


def _label(request: Any) -> None:
    request.model_spec.version_label = "stable"


def _label_of_unknown_model(request: Any) -> None:
    request.model_spec.name = "nobody"
    request.model_spec.version_label = "stable"


def _unknown_model(request: Any) -> None:
    request.model_spec.name = "nobody"


def _unknown_version(request: Any) -> None:
    request.model_spec.version.value = 99


# Rows of 2.1, for every method that resolves a model: change, code, message.
RESOLUTION = [
    pytest.param(_no_spec, "INVALID_ARGUMENT", "Missing ModelSpec", id="R1"),
    pytest.param(_no_name, "INVALID_ARGUMENT", "ModelSpec has no name specified.", id="R2"),
    pytest.param(_label, "INVALID_ARGUMENT", "Unrecognized servable version label: stable", id="R3"),
    pytest.param(
        _label_of_unknown_model,
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: stable",
        id="R3 of an unknown model",
    ),
    pytest.param(_unknown_model, "NOT_FOUND", "Servable not found for request: Latest(nobody)", id="R4"),
    pytest.param(
        _unknown_version, "NOT_FOUND", "Servable not found for request: Specific(tandem, 99)", id="R5"
    ),
]
