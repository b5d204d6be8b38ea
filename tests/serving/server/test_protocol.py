"""The protocol as the real server behaves, as one table.

Runs against our own server, or against another one where ``SERVER_ADDRESS`` names it; that one must serve
what ``python -m tests.serving.tiny_model DIR`` writes, as ``tandem``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving import tiny_model

Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture(scope="module")
def prediction(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def model(channel: grpc.Channel) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(channel)


def _predict_request(signature: str = "embed_query") -> Any:
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
    return request


def _metadata_request() -> Any:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tandem"
    return request


def _failure(call: Callable[[], Any]) -> tuple[str, str]:
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


_RESOLUTION = [
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


@pytest.mark.parametrize(("change", "code", "message"), _RESOLUTION)
def test_predict_resolves_the_model_in_order(
    prediction: Any, change: Change, code: str, message: str
) -> None:
    request = _predict_request()
    change(request)

    assert _failure(lambda: prediction.Predict(request)) == (code, message)


@pytest.mark.parametrize(("change", "code", "message"), _RESOLUTION)
def test_metadata_resolves_the_model_in_order(
    prediction: Any, change: Change, code: str, message: str
) -> None:
    request = _metadata_request()
    change(request)

    assert _failure(lambda: prediction.GetModelMetadata(request)) == (code, message)


def _unknown_signature(request: Any) -> None:
    request.model_spec.signature_name = "nothing"
    request.inputs.clear()


def _extra_input(request: Any) -> None:
    request.inputs["more"].CopyFrom(tf.make_tensor_proto([""]))


def _too_few_inputs(request: Any) -> None:
    del request.inputs["user_id"]
    del request.inputs["history"]
    request.inputs["more"].CopyFrom(tf.make_tensor_proto([""]))


def _wrong_name(request: Any) -> None:
    request.inputs["more"].CopyFrom(request.inputs["query"])
    del request.inputs["query"]


def _content_does_not_fit(request: Any) -> None:
    request.inputs["query"].CopyFrom(tf.make_tensor_proto(1.0))
    request.inputs["query"].ClearField("float_val")
    request.inputs["query"].tensor_content = b"123"


def _no_type(request: Any) -> None:
    request.inputs["query"].ClearField("dtype")


def _default_hides_a_wrong_name(request: Any) -> None:
    request.model_spec.signature_name = "embed_item"
    request.inputs.clear()
    request.inputs["item_id"].CopyFrom(tf.make_tensor_proto(["apron"]))
    request.inputs["more"].CopyFrom(tf.make_tensor_proto([""]))


def _unknown_output(request: Any) -> None:
    request.output_filter.extend(["embedding", "embeddings"])


def _output_twice(request: Any) -> None:
    request.output_filter.extend(["embedding", "embedding"])


def _wrong_type(request: Any) -> None:
    request.inputs["query"].CopyFrom(tf.make_tensor_proto([1.0]))


def _two_wrong_types(request: Any) -> None:
    request.inputs["user_id"].CopyFrom(tf.make_tensor_proto([True]))
    request.inputs["query"].CopyFrom(tf.make_tensor_proto(np.array([1], np.int64)))


def _unknown_output_and_wrong_type(request: Any) -> None:
    _wrong_type(request)
    request.output_filter.append("nothing")


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        pytest.param(
            _unknown_signature, "FAILED_PRECONDITION", 'Serving signature key "nothing" not found.', id="P1"
        ),
        pytest.param(
            _extra_input,
            "INVALID_ARGUMENT",
            "input size does not match signature: 4!=3 len({history,more,query,user_id}) != "
            "len({history,query,user_id}). Sent extra: {more}. Missing but required: {}.",
            id="P3 extra",
        ),
        pytest.param(
            _too_few_inputs,
            "INVALID_ARGUMENT",
            "input size does not match signature: 2!=3 len({more,query}) != len({history,query,user_id}). "
            "Sent extra: {more}. Missing but required: {history,user_id}.",
            id="P3 missing",
        ),
        pytest.param(
            _wrong_name,
            "INVALID_ARGUMENT",
            "Signature input alias: query(feed name: embed_query_query:0) not found in request and no "
            "default value provided. Inputs expected to be in the request {history,more,user_id}, or default "
            "input alias set: ",
            id="P4",
        ),
        pytest.param(_content_does_not_fit, "INVALID_ARGUMENT", "tensor parsing error: query", id="P5 size"),
        pytest.param(_no_type, "INVALID_ARGUMENT", "tensor parsing error: query", id="P5 type"),
        pytest.param(
            _default_hides_a_wrong_name,
            "INVALID_ARGUMENT",
            "Inputs contains invalid name. Used request inputs: item_id, request input: item_id,more",
            id="P6",
        ),
        pytest.param(
            _unknown_output,
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: embeddings "
            "Outputs expected to be in the set {embedding}.",
            id="P7",
        ),
        pytest.param(_output_twice, "INVALID_ARGUMENT", "duplicate output tensor alias: embedding", id="P8"),
        pytest.param(
            _wrong_type, "INVALID_ARGUMENT", "Expects arg[1] to be string but float is provided", id="P9"
        ),
        pytest.param(
            _two_wrong_types,
            "INVALID_ARGUMENT",
            "Expects arg[1] to be string but int64 is provided",
            id="P9 first in order of feed names",
        ),
        pytest.param(
            _unknown_output_and_wrong_type,
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: nothing "
            "Outputs expected to be in the set {embedding}.",
            id="P7 before P9",
        ),
    ],
)
def test_predict_checks_the_request_in_order(
    prediction: Any, change: Change, code: str, message: str
) -> None:
    request = _predict_request()
    change(request)

    assert _failure(lambda: prediction.Predict(request)) == (code, message)


def test_shape_the_graph_refuses_is_an_invalid_argument(prediction: Any) -> None:
    request = _predict_request()
    request.inputs["query"].CopyFrom(tf.make_tensor_proto(["a", "b", "c"]))
    request.inputs["user_id"].CopyFrom(tf.make_tensor_proto(["a", "b"]))

    assert _failure(lambda: prediction.Predict(request))[0] == "INVALID_ARGUMENT"


def test_message_longer_than_1024_bytes_is_cut(prediction: Any) -> None:
    request = _predict_request("x" * 2000)

    message = _failure(lambda: prediction.Predict(request))[1]

    assert len(message) == 1024 + len("...TRUNCATED")
    assert message.endswith("x...TRUNCATED")


def test_predict_answers_with_the_resolved_spec_and_typed_tensors(prediction: Any) -> None:
    response = prediction.Predict(_predict_request())

    assert response.model_spec.name == "tandem"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "embed_query"
    assert list(response.outputs) == ["embedding"]
    assert len(response.outputs["embedding"].float_val) == tiny_model.DIM
    assert response.outputs["embedding"].tensor_content == b""


def test_given_version_is_answered_like_the_latest(prediction: Any) -> None:
    request = _predict_request()
    latest = prediction.Predict(request)
    request.model_spec.version.value = 1

    assert prediction.Predict(request) == latest


def test_empty_signature_name_is_serving_default(prediction: Any) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tandem"

    assert "len({}) != len({exclude,exclude_seen," in _failure(lambda: prediction.Predict(request))[1]


def test_missing_input_takes_the_default_of_the_signature(prediction: Any) -> None:
    request = _predict_request("embed_item")
    request.inputs.clear()
    request.inputs["item_id"].CopyFrom(tf.make_tensor_proto(["apron"]))

    response = prediction.Predict(request)

    np.testing.assert_allclose(response.outputs["embedding"].float_val, tiny_model.VECTORS[0], rtol=1e-6)


def test_output_filter_limits_the_answer(prediction: Any) -> None:
    request = _predict_request("rank")
    request.inputs["candidates"].CopyFrom(tf.make_tensor_proto([["fork", "apron"]]))
    request.output_filter.extend(["titles", "scores"])

    assert sorted(prediction.Predict(request).outputs) == ["scores", "titles"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["signature_def", "graph_def"], "Metadata field graph_def is not supported"),
    ],
)
def test_metadata_field_is_checked_before_the_name(prediction: Any, fields: list[str], message: str) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = ""
    request.model_spec.SetInParent()

    assert _failure(lambda: prediction.GetModelMetadata(request)) == ("INVALID_ARGUMENT", message)


def test_metadata_holds_every_signature_and_its_defaults(prediction: Any) -> None:
    response = prediction.GetModelMetadata(_metadata_request())

    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == ""
    assert {*tiny_model.INPUTS, "serving_default"} <= set(signatures.signature_def)
    for name, inputs in tiny_model.INPUTS.items():
        assert set(signatures.signature_def[name].inputs) == set(inputs)
    assert list(signatures.signature_def["embed_item"].defaults) == ["text"]


def _status_request(name: str = "tandem", **spec: Any) -> Any:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    return request


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (get_model_status_pb2.GetModelStatusRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (_status_request(version=9), "NOT_FOUND", "Could not find version 9 of model tandem"),
        (_status_request("nobody"), "NOT_FOUND", "Could not find any versions of model nobody"),
    ],
)
def test_status_names_what_it_does_not_know(model: Any, request_: Any, code: str, message: str) -> None:
    assert _failure(lambda: model.GetModelStatus(request_)) == (code, message)


@pytest.mark.parametrize(
    "request_",
    [_status_request(), _status_request(version=1), _status_request(label="ignored")],
    ids=["all", "one", "label"],
)
def test_status_of_a_served_version_is_available_and_healthy(model: Any, request_: Any) -> None:
    (version,) = model.GetModelStatus(request_).model_version_status

    assert version.version == 1
    assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert version.HasField("status")
    assert (version.status.error_code, version.status.error_message) == (0, "")


def test_method_that_is_not_built_is_unimplemented(prediction: Any) -> None:
    assert (
        _failure(lambda: prediction.Classify(classification_pb2.ClassificationRequest()))[0]
        == "UNIMPLEMENTED"
    )
