"""The protocol as the real server behaves, as a table: resolution of models, status, metadata.

Runs against our own server, or against another one where ``SERVER_ADDRESS`` names it; that one must serve
what ``python -m tests.serving.tiny_model DIR`` writes, as ``tandem``.
"""

from __future__ import annotations

from typing import Any

import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tests.serving import tiny_model
from tests.serving.server.requests import RESOLUTION, Change, failure, metadata_request, status_request


@pytest.mark.parametrize(("change", "code", "message"), RESOLUTION)
def test_metadata_resolves_the_model_in_order(
    prediction: Any, change: Change, code: str, message: str
) -> None:
    request = metadata_request()
    change(request)

    assert failure(lambda: prediction.GetModelMetadata(request)) == (code, message)


def test_metadata_without_spec_and_fields_misses_the_spec(prediction: Any) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest()

    assert failure(lambda: prediction.GetModelMetadata(request)) == ("INVALID_ARGUMENT", "Missing ModelSpec")


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

    assert failure(lambda: prediction.GetModelMetadata(request)) == ("INVALID_ARGUMENT", message)


def test_metadata_holds_every_signature(prediction: Any) -> None:
    response = prediction.GetModelMetadata(metadata_request())

    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == ""
    assert {*tiny_model.INPUTS, "serving_default"} <= set(signatures.signature_def)
    for name, inputs in tiny_model.INPUTS.items():
        assert set(signatures.signature_def[name].inputs) == set(inputs)


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (get_model_status_pb2.GetModelStatusRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (status_request(version=9), "NOT_FOUND", "Could not find version 9 of model tandem"),
        (status_request(version=0), "NOT_FOUND", "Could not find version 0 of model tandem"),
        (status_request("nobody", version=1), "NOT_FOUND", "Could not find version 1 of model nobody"),
        (status_request("nobody"), "NOT_FOUND", "Could not find any versions of model nobody"),
        (
            status_request("nobody", label="stable"),
            "NOT_FOUND",
            "Could not find any versions of model nobody",
        ),
        (status_request(""), "NOT_FOUND", "Could not find any versions of model "),
    ],
)
def test_status_names_what_it_does_not_know(model: Any, request_: Any, code: str, message: str) -> None:
    assert failure(lambda: model.GetModelStatus(request_)) == (code, message)


@pytest.mark.parametrize(
    "request_",
    [status_request(), status_request(version=1), status_request(label="ignored")],
    ids=["all", "one", "label"],
)
def test_status_of_a_served_version_is_available_and_healthy(model: Any, request_: Any) -> None:
    (version,) = model.GetModelStatus(request_).model_version_status

    assert version.version == 1
    assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert version.HasField("status")
    assert (version.status.error_code, version.status.error_message) == (0, "")
