"""What of Predict depends on the server's settings, and is not in the table of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving.server import tensor_protos
from serving.server.methods.classify import classify
from serving.server.methods.predict import predict
from serving.server.methods.regress import regress
from serving.server.metrics import Metrics
from serving.server.status_error import StatusError
from serving.server.versions.loaded_model import LoadedModel
from tests.serving.server.requests import predict_request


@pytest.fixture(scope="module")
def strict_model(model_path: Path) -> Iterator[LoadedModel]:
    model = LoadedModel(model_path, checks_method_names=True)
    yield model
    model.retire()


def _request(signature: str, **texts: str) -> Any:
    request = predict_request(signature)
    request.inputs.clear()
    for name, text in texts.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto([text]))
    return request


def test_content_is_written_when_asked_for(strict_model: LoadedModel) -> None:
    response = predict(strict_model, _request("measure", text="abc"), as_content=True)

    assert response.outputs["length"].tensor_content == np.int32(3).tobytes()
    assert not response.outputs["length"].int_val
    assert len(tensor_protos.read(response.outputs["table"])) == 6


def test_method_name_is_checked_when_asked_for(strict_model: LoadedModel) -> None:
    with pytest.raises(StatusError) as error:
        predict(strict_model, _request("both", text="abc", number_text="1"))

    assert error.value.code.name == "INTERNAL"
    assert error.value.message == (
        "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
        "tensorflow/serving/classify, tensorflow/serving/regress}. Was: own/method"
    )


@pytest.mark.parametrize("signature", ["measure", "classify", "regress"])
def test_method_names_of_tensorflow_pass_the_check(strict_model: LoadedModel, signature: str) -> None:
    name = "text" if signature == "measure" else "inputs"

    assert predict(strict_model, _request(signature, **{name: ""})).outputs


def test_method_name_must_fit_the_kind_of_request(strict_model: LoadedModel) -> None:
    classification = classification_pb2.ClassificationRequest()
    classification.model_spec.signature_name = "score"
    regression = regression_pb2.RegressionRequest(model_spec=classification.model_spec)

    with pytest.raises(StatusError, match=r"^Expected classification signature method_name to be "):
        classify(strict_model, classification)
    with pytest.raises(
        StatusError,
        match=r"^Expected regression signature method_name to be tensorflow/serving/regress\. "
        r"Was: tensorflow/serving/predict$",
    ):
        regress(strict_model, regression)


def test_time_in_the_runtime_is_counted(model_path: Path) -> None:
    metrics = Metrics()
    model = LoadedModel(model_path, metrics=metrics)
    request = _request("measure", text="abc")
    request.model_spec.name = "tandem"

    predict(model, request)

    line = ':runtime_latency_count{model_name="tandem",API="Predict",runtime="TF1"} 1'
    assert line in metrics.render()
    model.retire()
