"""Refusals of the REST API, held to the real server's codes and messages."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.serving.server.rest.asking import PREDICT, Ask, error_of, own_server_only, query

# Verb and path -> status, message.
NO_CALL = [
    ("GET", "/v1/models", 400, "Missing model name in request."),
    ("GET", "/v1/models/versions/1", 400, "Missing model name in request."),
    ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
    ("POST", "/v1/models", 400, "Malformed request: POST /v1/models"),
    ("POST", "/v1/models/tandem", 400, "Malformed request: POST /v1/models/tandem"),
    ("GET", "/v1/models/tandem:predict", 400, "Malformed request: GET /v1/models/tandem:predict"),
    ("POST", "/v1/models/tandem:PREDICT", 400, "Malformed request: POST /v1/models/tandem:PREDICT"),
    ("POST", "/v1/models/tandem:predict?a=b", 400, "Malformed request: POST /v1/models/tandem:predict?a=b"),
    (
        "POST",
        "/v1/models/tandem/version/1:predict",
        400,
        "Malformed request: POST /v1/models/tandem/version/1:predict",
    ),
    (
        "POST",
        "/v1/models/tandem/versions/one:predict",
        400,
        "Malformed request: POST /v1/models/tandem/versions/one:predict",
    ),
    ("PUT", "/v1/models/tandem", 400, "Malformed request: PUT /v1/models/tandem"),
    ("DELETE", "/v1/models/tandem", 400, "Malformed request: DELETE /v1/models/tandem"),
    ("GET", "/v1/models/nobody", 404, "Could not find any versions of model nobody"),
    ("GET", "/v1/models/tandem?a=b", 404, "Could not find any versions of model tandem?a=b"),
    ("GET", "/v1/models/tandem/versions/99", 404, "Could not find version 99 of model tandem"),
    ("GET", "/v1/models/nobody/metadata", 404, "Servable not found for request: Latest(nobody)"),
    (
        "GET",
        "/v1/models/tandem/versions/99/metadata",
        404,
        "Servable not found for request: Specific(tandem, 99)",
    ),
    (
        "GET",
        "/v1/models/tandem/labels/st%61ble/metadata",
        400,
        "Unrecognized servable version label: stable",
    ),
]


@pytest.mark.parametrize(("verb", "path", "status", "message"), NO_CALL)
def test_what_is_not_there_is_told(
    http: httpx.Client, verb: str, path: str, status: int, message: str
) -> None:
    response = http.request(verb, path)
    assert (response.status_code, error_of(response)) == (status, message)
    assert response.text == json.dumps({"error": message}, indent=4)


@own_server_only
@pytest.mark.parametrize("version", ["9223372036854775808", "9" * 5000])
def test_a_version_beyond_64_bits_is_refused(predict: Ask, version: str) -> None:
    # The real server says so only to its caller in C++ and answers with an empty body.
    response = predict({}, f"/v1/models/tandem/versions/{version}:predict")
    assert response.status_code == 400
    assert error_of(response) == f"Failed to convert version: {version} to numeric."[:1024] + (
        "...TRUNCATED" if len(version) > 1024 else ""
    )


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/tandem", "/status", "/monitoring"])
def test_outside_of_v1_there_is_nothing(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def _embed(**changes: Any) -> dict[str, Any]:
    return {"signature_name": "embed_query", "instances": [{**query("a"), **changes}]}


def _wait(**body: Any) -> dict[str, Any]:
    return {"signature_name": "wait", **body}


# Name -> path, body, status, message.
BAD_PREDICTIONS: dict[str, tuple[str, Any, int, str]] = {
    "empty": (PREDICT, b"", 400, "JSON Parse error: The document is empty"),
    "no JSON": (PREDICT, b"instances = [1]", 400, "JSON Parse error: Invalid value. at offset: 0"),
    "cut off": (
        PREDICT,
        b'{"instances": [1',
        400,
        "JSON Parse error: Missing a comma or ] after an array element. at offset: 16",
    ),
    "no object": (PREDICT, b"3", 400, "JSON Value: 3 Is not object"),
    "signature name": (
        PREDICT,
        {"signature_name": 5},
        400,
        'JSON Value: {\n    "signature_name": 5\n} not formatted correctly. '
        "'signature_name' key must be a string value.",
    ),
    "unknown model": (
        "/v1/models/nobody:predict",
        _wait(instances=[1]),
        404,
        "Servable not found for request: Latest(nobody)",
    ),
    "unknown version": (
        "/v1/models/tandem/versions/99:predict",
        _wait(instances=[1]),
        404,
        "Servable not found for request: Specific(tandem, 99)",
    ),
    "unknown label": (
        "/v1/models/tandem/labels/stable:predict",
        _wait(instances=[1]),
        400,
        "Unrecognized servable version label: stable",
    ),
    "unknown signature": (
        PREDICT,
        {"signature_name": "nothing", "instances": [1]},
        400,
        'Serving signature name: "nothing" not found in signature def',
    ),
    "neither": (PREDICT, _wait(), 400, "Missing 'inputs' or 'instances' key"),
    "type": (PREDICT, _wait(inputs="x"), 400, 'JSON Value: "x" Type: String is not of expected type: double'),
    "type in a row": (
        PREDICT,
        _wait(instances=[0.5, "x"]),
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
        'JSON Value: "x" Type: String is not of expected type: double',
    ),
    "missing key": (
        PREDICT,
        {"signature_name": "embed_query", "instances": [{"query": "a"}]},
        400,
        'Failed to process element: 0 of \'instances\' list. JSON object: {\n    "query": "a"\n} '
        "keys must be equal to: history,history_times,now,query,user_id",
    ),
    "additional key": (
        PREDICT,
        _embed(extra=1),
        400,
        "Failed to process element: 0 key: extra of 'instances' list. Error: INVALID_ARGUMENT: "
        "JSON object: does not have named input: extra",
    ),
    "plain rows": (
        PREDICT,
        {"signature_name": "embed_query", "instances": ["a"]},
        400,
        "instances is a plain list, but expecting list of objects as multiple "
        "input tensors required as per tensorinfo_map",
    ),
    "plain inputs": (
        PREDICT,
        {"signature_name": "embed_query", "inputs": ["a"]},
        400,
        "inputs is a plain value/list, but expecting an object as multiple "
        "input tensors required as per tensorinfo_map",
    ),
    "shapes of rows": (
        PREDICT,
        _wait(instances=[[1, 2], [3]]),
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting tensor size: 2 but got: 1",
    ),
    "precision": (
        PREDICT,
        _wait(instances=[2**53 + 1]),
        400,
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Cannot convert JSON value: 9007199254740993 to double without loss of precision.",
    ),
}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"), BAD_PREDICTIONS.values(), ids=BAD_PREDICTIONS.keys()
)
def test_a_bad_request_is_told(predict: Ask, path: str, body: Any, status: int, message: str) -> None:
    response = predict(body, path)
    assert (response.status_code, error_of(response)) == (status, message)


# The real server stops behind the first sentence.
@own_server_only
def test_a_missing_input_is_told_with_a_body_that_is_complete(predict: Ask) -> None:
    inputs = {"query": ["a"], "history": [[]], "history_times": [[]], "now": [0]}

    response = predict({"signature_name": "embed_query", "inputs": inputs})

    assert response.status_code == 400
    said, _, body = error_of(response).partition(" Every input must be there: ")
    assert said == "Missing named input: user_id in 'inputs' object."
    assert predict({"signature_name": "embed_query"} | json.loads(body)).status_code == 200


# The real server crashes on these, or lets them pass in another way.
@own_server_only
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"instances": ' + b"[" * 800 + b"]" * 800 + b"}",
        b'{"signature_name": "wait", "instances": [' + b"9" * 5000 + b"]}",
        b'{"signature_name": "wait", "instances": [1e999]}',
        b'{"signature_name": "\\ud800", "instances": [1]}',
        b'{"signature_name": "\xff", "instances": [1]}',
        b'{"signature_name": "wait", "instances": [{"b64": 1}]}',
        b'{"signature_name": "search", "inputs": {"k": [1e10]}}',
        b"\x00\x01\x02",
    ],
)
def test_hostile_json_is_a_mistake_of_the_caller(predict: Ask, body: bytes) -> None:
    response = predict(body)
    assert response.status_code == 400
    assert error_of(response)
