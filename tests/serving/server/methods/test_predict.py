"""What of Predict depends on the server's settings, and is not in the table of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.server import tensor_protos
from serving.server.methods.predict import predict
from serving.server.metrics import Metrics
from serving.server.versions.loaded_model import LoadedModel
from tests.serving.server.requests import predict_request


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def model(model_path: Path, metrics: Metrics) -> Iterator[LoadedModel]:
    model = LoadedModel(model_path, metrics=metrics)
    yield model
    model.retire()


def _request(signature: str, **texts: str) -> Any:
    request = predict_request(signature)
    request.inputs.clear()
    for name, text in texts.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto([text]))
    return request


def test_content_is_written_when_asked_for(model: LoadedModel) -> None:
    response = predict(model, _request("measure", text="abc"), as_content=True)

    assert response.outputs["length"].tensor_content == np.int32(3).tobytes()
    assert not response.outputs["length"].int_val
    assert len(tensor_protos.read(response.outputs["table"])) == 6


def test_time_in_the_runtime_is_counted(model: LoadedModel, metrics: Metrics) -> None:
    request = _request("measure", text="abc")
    request.model_spec.name = "tandem"

    predict(model, request)

    line = ':runtime_latency_count{model_name="tandem",API="Predict",runtime="TF1"} 1'
    assert line in metrics.render()
