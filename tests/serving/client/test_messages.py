from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import any_pb2
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from serving.client import messages


def _fill_tensor(tensor: Any) -> None:
    tensor.dtype = 7
    tensor.version_number = 3
    tensor.tensor_shape.dim.add(size=-1, name="batch")
    tensor.tensor_shape.dim.add(size=2)
    tensor.tensor_shape.unknown_rank = True
    tensor.tensor_content = b"\x00\xff"
    for field, values in {
        "float_val": [1.5, -2.0],
        "double_val": [1e300],
        "int_val": [-1, 2],
        "string_val": [b"", "ü".encode()],
        "scomplex_val": [0.5],
        "int64_val": [-(2**62)],
        "bool_val": [True, False],
        "dcomplex_val": [0.25],
        "half_val": [15360],
        "uint32_val": [2**32 - 1],
        "uint64_val": [2**64 - 1],
    }.items():
        getattr(tensor, field).extend(values)


def _fill_spec(spec: Any) -> None:
    spec.name = "tandem"
    spec.version.value = 7
    spec.signature_name = "search"


def _fill_predict_request(request: Any) -> None:
    _fill_spec(request.model_spec)
    _fill_tensor(request.inputs["b"])
    _fill_tensor(request.inputs["a"])
    request.output_filter.extend(["item_ids", "scores"])


def _fill_labelled_request(request: Any) -> None:
    request.model_spec.name = "tandem"
    request.model_spec.version.value = 7
    request.model_spec.version_label = "stable"


def _fill_predict_response(response: Any) -> None:
    _fill_spec(response.model_spec)
    _fill_tensor(response.outputs["scores"])


def _fill_status_response(response: Any) -> None:
    version = response.model_version_status.add(version=3, state=50)
    version.status.error_code = 5
    version.status.error_message = "no op"
    response.model_version_status.add(version=2, state=30).status.SetInParent()


def _fill_metadata_request(request: Any) -> None:
    _fill_spec(request.model_spec)
    request.metadata_field.append("signature_def")


def _fill_metadata_response(response: Any) -> None:
    _fill_spec(response.model_spec)
    content = any_pb2.Any(type_url="type.googleapis.com/x", value=b"abc").SerializeToString()
    response.metadata["signature_def"].MergeFromString(content)


def _fill_signatures(signatures: Any) -> None:
    signature = signatures.signature_def["search"]
    signature.method_name = "tensorflow/serving/predict"
    signature.inputs["query"].name = "search_query:0"
    signature.inputs["query"].dtype = 7
    signature.inputs["query"].tensor_shape.dim.add(size=-1)
    signature.outputs["scores"].tensor_shape.unknown_rank = True
    signature.defaults["query"].string_val.append(b"x")


def _fill_reload_request(request: Any) -> None:
    request.config.model_config_list.SetInParent()


def _fill_reload_response(response: Any) -> None:
    response.status.error_message = "no"


@pytest.mark.parametrize(
    ("ours", "real", "fill"),
    [
        (messages.TensorProto, tensor_pb2.TensorProto, _fill_tensor),
        (messages.PredictRequest, predict_pb2.PredictRequest, _fill_predict_request),
        (messages.PredictRequest, predict_pb2.PredictRequest, _fill_labelled_request),
        (messages.PredictResponse, predict_pb2.PredictResponse, _fill_predict_response),
        (messages.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest, _fill_labelled_request),
        (messages.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse, _fill_status_response),
        (
            messages.GetModelMetadataRequest,
            get_model_metadata_pb2.GetModelMetadataRequest,
            _fill_metadata_request,
        ),
        (
            messages.GetModelMetadataResponse,
            get_model_metadata_pb2.GetModelMetadataResponse,
            _fill_metadata_response,
        ),
        (messages.SignatureDefMap, get_model_metadata_pb2.SignatureDefMap, _fill_signatures),
        (messages.ReloadConfigRequest, model_management_pb2.ReloadConfigRequest, _fill_reload_request),
        (messages.ReloadConfigResponse, model_management_pb2.ReloadConfigResponse, _fill_reload_response),
    ],
)
def test_wire_bytes_equal_those_of_the_generated_messages(ours: Any, real: Any, fill: Any) -> None:
    mine, theirs = ours(), real()

    fill(mine)
    fill(theirs)

    data = theirs.SerializeToString(deterministic=True)
    assert mine.SerializeToString(deterministic=True) == data
    assert ours.FromString(data) == mine
    assert mine.DESCRIPTOR.full_name == theirs.DESCRIPTOR.full_name


def test_enums_equal_the_generated_ones() -> None:
    real_states = get_model_status_pb2.ModelVersionStatus.State.items()
    real_types = types_pb2.DataType.items()

    assert {number: name for name, number in real_states} == messages.STATES
    assert messages.DATA_TYPES.items() <= {number: name for name, number in real_types}.items()


def test_client_imports_no_tensorflow() -> None:
    code = (
        "import sys, serving.client, serving.client.async_client, pipeline.cli.serving\n"
        "heavy = ('tensorflow', 'tensorflow_serving', 'keras', 'tfx')\n"
        "print([name for name in sys.modules if name.partition('.')[0] in heavy])"
    )

    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert output.strip() == "[]"
