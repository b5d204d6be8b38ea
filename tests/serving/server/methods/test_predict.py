"""The protocol as the real server behaves, as a table: Predict.

Runs against our own server, or against another one where ``SERVER_ADDRESS`` names it; that one must serve
what ``python -m tests.serving.tiny_model DIR`` writes, as ``tandem``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests.serving import tiny_model
from tests.serving.server.requests import RESOLUTION, Change, failure, predict_request


@pytest.mark.parametrize(("change", "code", "message"), RESOLUTION)
def test_predict_resolves_the_model_in_order(
    prediction: Any, change: Change, code: str, message: str
) -> None:
    request = predict_request()
    change(request)

    assert failure(lambda: prediction.Predict(request)) == (code, message)


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
            "input size does not match signature: 6!=5 len({history,history_times,more,now,query,user_id}) "
            "!= len({history,history_times,now,query,user_id}). Sent extra: {more}. "
            "Missing but required: {}.",
            id="P3 extra",
        ),
        pytest.param(
            _too_few_inputs,
            "INVALID_ARGUMENT",
            "input size does not match signature: 4!=5 len({history_times,more,now,query}) != "
            "len({history,history_times,now,query,user_id}). "
            "Sent extra: {more}. Missing but required: {history,user_id}.",
            id="P3 missing",
        ),
        pytest.param(
            _wrong_name,
            "INVALID_ARGUMENT",
            "Signature input alias: query(feed name: embed_query_query:0) not found in request and no "
            "default value provided. Inputs expected to be in the request "
            "{history,history_times,more,now,user_id}, or default input alias set: ",
            id="P4",
        ),
        pytest.param(_content_does_not_fit, "INVALID_ARGUMENT", "tensor parsing error: query", id="P5 size"),
        pytest.param(_no_type, "INVALID_ARGUMENT", "tensor parsing error: query", id="P5 type"),
        pytest.param(
            _unknown_output,
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: embeddings "
            "Outputs expected to be in the set {embedding}.",
            id="P7",
        ),
        pytest.param(_output_twice, "INVALID_ARGUMENT", "duplicate output tensor alias: embedding", id="P8"),
        pytest.param(
            _wrong_type, "INVALID_ARGUMENT", "Expects arg[3] to be string but float is provided", id="P9"
        ),
        pytest.param(
            _two_wrong_types,
            "INVALID_ARGUMENT",
            "Expects arg[3] to be string but int64 is provided",
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
    request = predict_request()
    change(request)

    assert failure(lambda: prediction.Predict(request)) == (code, message)


def test_shape_the_graph_refuses_is_an_invalid_argument(prediction: Any) -> None:
    request = predict_request()
    request.inputs["query"].CopyFrom(tf.make_tensor_proto(["a", "b", "c"]))
    request.inputs["user_id"].CopyFrom(tf.make_tensor_proto(["a", "b"]))

    assert failure(lambda: prediction.Predict(request))[0] == "INVALID_ARGUMENT"


def test_message_longer_than_1024_bytes_is_cut(prediction: Any) -> None:
    request = predict_request("x" * 2000)

    message = failure(lambda: prediction.Predict(request))[1]

    assert len(message) == 1024 + len("...TRUNCATED")
    assert message.endswith("x...TRUNCATED")


def test_predict_answers_with_the_resolved_spec_and_typed_tensors(prediction: Any) -> None:
    response = prediction.Predict(predict_request())

    assert response.model_spec.name == "tandem"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "embed_query"
    assert list(response.outputs) == ["embedding"]
    assert len(response.outputs["embedding"].float_val) == tiny_model.DIM
    assert response.outputs["embedding"].tensor_content == b""


def test_given_version_is_answered_like_the_latest(prediction: Any) -> None:
    request = predict_request()
    latest = prediction.Predict(request)
    request.model_spec.version.value = 1

    assert prediction.Predict(request) == latest


def test_empty_signature_name_is_serving_default(prediction: Any) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tandem"

    assert "len({}) != len({boost,diversity,exclude," in failure(lambda: prediction.Predict(request))[1]


def test_output_filter_limits_the_answer(prediction: Any) -> None:
    request = predict_request("rank")
    request.inputs["candidates"].CopyFrom(tf.make_tensor_proto([["fork", "apron"]]))
    request.output_filter.extend(["titles", "scores"])

    assert sorted(prediction.Predict(request).outputs) == ["scores", "titles"]


def _text_request(signature: str, **texts: Any) -> Any:
    request = predict_request(signature)
    request.inputs.clear()
    for name, values in texts.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return request


def test_output_that_is_not_asked_for_is_not_computed(prediction: Any) -> None:
    request = _text_request("both", text=["abc"], number_text=["no number"])
    assert failure(lambda: prediction.Predict(request))[0] == "INVALID_ARGUMENT"

    request.output_filter.append("length")

    assert list(prediction.Predict(request).outputs["length"].int_val) == [3]


def test_shape_that_only_the_signature_forbids_is_answered(prediction: Any) -> None:
    request = _text_request("measure", text=[["a", "bc"], ["def", ""]])

    length = prediction.Predict(request).outputs["length"]

    assert [dim.size for dim in length.tensor_shape.dim] == [2, 2]
    assert list(length.int_val) == [1, 2, 3, 0]


def test_tensor_that_does_not_hold_all_values_repeats_the_last(prediction: Any) -> None:
    request = _text_request("measure", text=["a", "bc"])
    request.inputs["text"].tensor_shape.dim[0].size = 4

    assert list(prediction.Predict(request).outputs["length"].int_val) == [1, 2, 2, 2]


def test_strings_may_come_as_content(prediction: Any) -> None:
    request = _text_request("measure", text=["a", "bc"])
    request.inputs["text"].ClearField("string_val")
    request.inputs["text"].tensor_content = b"\x01\x02abc"

    assert list(prediction.Predict(request).outputs["length"].int_val) == [1, 2]
