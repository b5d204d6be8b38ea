"""The REST API, held to what the real server does; with ``SERVER_REST_ADDRESS`` set, the real one itself."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer, StartError
from tests.serving import tiny_model

Ask = Callable[..., httpx.Response]

METRICS = "/monitoring/prometheus/metrics"
PREDICT = "/v1/models/tandem:predict"
own_server_only = pytest.mark.skipif(
    "SERVER_REST_ADDRESS" in os.environ, reason="holds of our own server or its settings only"
)


def _free_port() -> int:
    with socket.create_server(("localhost", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def rest_address(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the tiny model is served as version 1 of ``tandem``, with the page of metrics."""
    if "SERVER_REST_ADDRESS" in os.environ:
        yield os.environ["SERVER_REST_ADDRESS"]
        return
    monitoring = tmp_path_factory.mktemp("monitoring") / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    config = ServerConfig(
        model_base_path=model_path.parent,
        model_name="tandem",
        host="localhost",
        port=0,
        rest_api_port=_free_port(),
        rest_api_num_threads=4,
        monitoring_config_file=monitoring,
    )
    server = ModelServer(config)
    server.start()
    yield f"localhost:{config.rest_api_port}"
    server.stop()


@pytest.fixture(scope="session")
def http(rest_address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{rest_address}", timeout=30) as client:
        yield client


@pytest.fixture
def predict(http: httpx.Client) -> Ask:
    def predict(body: Any, path: str = PREDICT, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return http.post(path, content=content, **options)

    return predict


def _error(response: httpx.Response) -> str:
    assert response.headers["Content-Type"] == "application/json"
    document = response.json()
    assert document.keys() == {"error"}
    error: str = document["error"]
    return error


def _query(text: Any) -> dict[str, Any]:
    return {"query": text, "user_id": "", "history": []}


def _vector(text: str) -> list[float]:
    return np.cos(3 * len(text) * np.arange(1.0, tiny_model.DIM + 1)).tolist()


def test_a_row_request_is_answered_by_row(predict: Ask) -> None:
    response = predict({"signature_name": "wait", "instances": [0.0, 0.25]})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.text == '{\n    "predictions": [0.0, 0.25\n    ]\n}'


def test_a_column_request_is_answered_by_column(predict: Ask) -> None:
    for inputs in ([0.0, 0.25], {"seconds": [0.0, 0.25]}):
        response = predict({"signature_name": "wait", "inputs": inputs})
        assert response.text == '{\n    "outputs": [\n        0.0,\n        0.25\n    ]\n}'


def test_rows_of_several_inputs_are_objects(predict: Ask) -> None:
    response = predict({"signature_name": "embed_query", "instances": [_query("lamp"), _query("dish")]})
    np.testing.assert_allclose(response.json()["predictions"], [_vector("lamp"), _vector("dish")], rtol=1e-4)


def test_several_outputs_are_objects_by_row_and_lists_by_column(predict: Ask) -> None:
    row = {"query": "", "user_id": "u", "history": ["apron"], "exclude": ["dish"], "filters": [""], "k": 2}
    row["exclude_seen"] = False
    (by_row,) = predict({"instances": [row]}).json()["predictions"]
    by_column = predict({"inputs": {name: [value] for name, value in row.items()}}).json()["outputs"]
    assert (
        by_row.keys()
        == by_column.keys()
        == {
            "item_ids",
            "titles",
            "scores",
            "channel_scores",
            "num_results",
        }
    )
    assert by_column == {name: [value] for name, value in by_row.items()}
    assert by_row["num_results"] == 2
    assert by_row["titles"] == [tiny_model.TITLES[tiny_model.ITEM_IDS.index(i)] for i in by_row["item_ids"]]


def test_bytes_are_sent_as_base64(predict: Ask) -> None:
    plain = predict({"signature_name": "embed_query", "instances": [_query("lamp")]})
    encoded = predict({"signature_name": "embed_query", "instances": [_query({"b64": "bGFtcA=="})]})
    assert encoded.status_code == 200
    assert encoded.text == plain.text


def test_special_numbers_are_bare(predict: Ask) -> None:
    # At most one may be positive, or the graph waits.
    response = predict(b'{"signature_name": "wait", "instances": [NaN, -Infinity, -1e300, -3]}')
    assert response.text == '{\n    "predictions": [NaN, -Infinity, -1e+300, -3.0\n    ]\n}'


def test_the_body_may_be_compressed(predict: Ask) -> None:
    body = gzip.compress(b'{"signature_name": "wait", "instances": [0.5e-3]}')
    response = predict(body, headers={"Content-Encoding": "gzip"})
    assert response.json() == {"predictions": [0.0005]}


@own_server_only
@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b'{"instances": [1]}')[:-9]])
def test_a_body_that_cannot_be_uncompressed_is_refused(predict: Ask, body: bytes) -> None:
    response = predict(body, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 400
    assert _error(response).startswith("Failed to uncompress the gzipped body")


@own_server_only
@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_a_body_that_would_fill_the_memory_is_refused(
    predict: Ask, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.server.rest._MAX_BODY_BYTES", 1000)
    body = b" " * 1001
    response = predict(gzip.compress(body) if headers else body, headers=headers)
    assert response.status_code == 400
    assert _error(response) == "The body of a request must not be larger than 1000 bytes."


_EXAMPLES = [{"text": "apron", "bonus": 0.5}, {"text": [{"b64": "aGk="}]}]


def test_examples_are_classified(predict: Ask) -> None:
    response = predict(
        {"signature_name": "classify", "examples": _EXAMPLES}, "/v1/models/tandem/versions/1:classify"
    )
    assert response.headers["Content-Type"] == "application/json"
    assert response.text == (
        '{\n    "results": [[["long", 5.0], ["liked", 0.5]], [["long", 2.0], ["liked", 0.0]]\n    ]\n}'
    )


def test_examples_are_regressed_with_the_context_they_share(predict: Ask) -> None:
    path = "/v1/models/tandem:regress"
    body = {"signature_name": "regress", "examples": _EXAMPLES}
    assert predict(body, path).text == '{\n    "results": [5.5, 2.0]\n}'
    shared = {"signature_name": "regress", "context": {"bonus": [1.5]}, "examples": [{"text": "hi"}, {}]}
    assert predict(shared, path).json() == {"results": [3.5, 1.5]}


def test_outputs_that_are_no_rows_need_the_column_format(predict: Ask) -> None:
    refused = predict({"signature_name": "measure", "instances": ["ab"]})
    assert refused.status_code == 400
    # Which of the outputs it names is left open.
    assert re.fullmatch(
        r"Tensor name: (total has no shape information |(table|length) has inconsistent batch size: .*)",
        _error(refused),
    )
    response = predict({"signature_name": "measure", "inputs": ["ab", "c"]})
    assert response.json()["outputs"] == {"length": [2, 1], "total": 3, "table": tiny_model.ITEM_IDS}


def test_what_the_graph_refuses_is_told(predict: Ask) -> None:
    response = predict({"signature_name": "to_number", "instances": ["seven"]})
    assert response.status_code == 400
    assert "StringToNumberOp could not correctly convert string: seven" in _error(response)


def test_a_version_is_asked_by_its_number(predict: Ask) -> None:
    body = {"signature_name": "wait", "instances": [0.0]}
    assert predict(body, "/v1/models/tandem/versions/1:predict").status_code == 200
    assert predict(body, "/v1/models/tandem/versions/001:predict").status_code == 200


def test_the_path_matches_in_any_case_and_the_name_is_decoded(predict: Ask, http: httpx.Client) -> None:
    body = {"signature_name": "wait", "instances": [0.0]}
    assert predict(body, "/V1/Models/t%61ndem/VERSIONS/1:predict").status_code == 200
    assert http.get("/V1/MODELS/tandem").status_code == 200


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
    assert (response.status_code, _error(response)) == (status, message)
    assert response.text == json.dumps({"error": message}, indent=4)


@own_server_only
@pytest.mark.parametrize("version", ["9223372036854775808", "9" * 5000])
def test_a_version_beyond_64_bits_is_refused(predict: Ask, version: str) -> None:
    # The real server says so only to its caller in C++ and answers with an empty body.
    response = predict({}, f"/v1/models/tandem/versions/{version}:predict")
    assert response.status_code == 400
    assert _error(response) == f"Failed to convert version: {version} to numeric."[:1024] + (
        "...TRUNCATED" if len(version) > 1024 else ""
    )


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/tandem", "/status", "/monitoring"])
def test_outside_of_v1_there_is_nothing(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def _embed(**changes: Any) -> dict[str, Any]:
    return {"signature_name": "embed_query", "instances": [{**_query("a"), **changes}]}


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
        "keys must be equal to: history,query,user_id",
    ),
    "additional key": (
        PREDICT,
        _embed(extra=1),
        400,
        "Failed to process element: 0 key: extra of 'instances' list. Error: INVALID_ARGUMENT: "
        "JSON object: does not have named input: extra",
    ),
    "missing input": (
        PREDICT,
        {"signature_name": "embed_query", "inputs": {"query": ["a"], "history": [[]]}},
        400,
        "Missing named input: user_id in 'inputs' object.",
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
    "no examples": (
        "/v1/models/tandem:classify",
        {},
        400,
        "JSON Value: {} When method is classify, key 'examples' is expected and was not found",
    ),
    "no classify signature": (
        "/v1/models/tandem:classify",
        {"signature_name": "nothing", "examples": [{}]},
        400,
        "No signature was found with the name: nothing",
    ),
    "no regress signature": (
        "/v1/models/tandem:regress",
        {"signature_name": "nothing", "examples": [{}]},
        400,
        "No signature was found with the name: nothing",
    ),
}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"), BAD_PREDICTIONS.values(), ids=BAD_PREDICTIONS.keys()
)
def test_a_bad_request_is_told(predict: Ask, path: str, body: Any, status: int, message: str) -> None:
    response = predict(body, path)
    assert (response.status_code, _error(response)) == (status, message)


# What the real server crashes on, or lets pass in another way.
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
    assert _error(response)


def test_the_state_of_a_model_is_shown(http: httpx.Client) -> None:
    expected = (
        "{\n"
        ' "model_version_status": [\n'
        "  {\n"
        '   "version": "1",\n'
        '   "state": "AVAILABLE",\n'
        '   "status": {\n'
        '    "error_code": "OK",\n'
        '    "error_message": ""\n'
        "   }\n"
        "  }\n"
        " ]\n"
        "}\n"
    )
    # A label is not looked at.
    for path in ("", "/versions/1", "/labels/nonsense"):
        response = http.get(f"/v1/models/tandem{path}")
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        assert response.text == expected


@pytest.mark.parametrize("path", ["/v1/models/tandem/metadata", "/v1/models/tandem/versions/1/metadata"])
def test_the_signatures_are_shown(http: httpx.Client, path: str) -> None:
    response = http.get(path)
    assert response.status_code == 200
    assert response.text.startswith(
        '{\n"model_spec":{\n "name": "tandem",\n "signature_name": "",\n "version": "1"\n}\n,\n'
        '"metadata": {"signature_def": {\n "signature_def": {\n'
    )
    assert response.text.endswith("\n}\n}\n}\n")
    signatures = response.json()["metadata"]["signature_def"]["signature_def"]
    assert signatures.keys() >= {*tiny_model.INPUTS, "serving_default"}
    assert signatures["wait"]["inputs"]["seconds"] == {
        "dtype": "DT_DOUBLE",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "wait_seconds:0",
    }
    assert signatures["wait"]["method_name"] == "tensorflow/serving/predict"


def _count(http: httpx.Client, line: str) -> int:
    match = re.search(f"^{re.escape(line)} (\\d+)$", http.get(METRICS).text, re.MULTILINE)
    return int(match[1]) if match else 0


def test_requests_move_the_counters_of_the_metrics_page(http: httpx.Client, predict: Ask) -> None:
    page = http.get(METRICS)
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/plain"
    prefix = ":tensorflow:serving:request_"
    ok = f'{prefix}count{{model_name="tandem",status="OK"}}'
    missing = f'{prefix}count{{model_name="nobody",status="NOT_FOUND"}}'
    invalid = f'{prefix}count{{model_name="tandem",status="INVALID_ARGUMENT"}}'
    latency = f'{prefix}latency_count{{model_name="tandem",API="predict",entrypoint="REST"}}'
    endless = f'{prefix}latency_bucket{{model_name="tandem",API="predict",entrypoint="REST",le="+Inf"}}'
    runtime = ':tensorflow:serving:runtime_latency_count{model_name="tandem",API="Predict",runtime="TF1"}'
    lines = [ok, missing, invalid, latency, endless, runtime]
    before = [_count(http, line) for line in lines]
    predict({"signature_name": "wait", "instances": [0.0]})
    predict({"signature_name": "wait", "instances": ["x"]})
    http.get("/v1/models/tandem")
    http.get("/v1/models/nobody")
    after = [_count(http, line) for line in lines]
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 1, 1, 1, 1, 1]


def test_the_metrics_page_takes_no_query(http: httpx.Client) -> None:
    response = http.get(f"{METRICS}?a=b")
    assert response.status_code == 400
    assert response.text == f"Unexpected path: {METRICS}?a=b. Should be {METRICS}"


def test_a_slow_request_does_not_hold_up_others(http: httpx.Client, predict: Ask) -> None:
    slow: list[httpx.Response] = []
    body = {"signature_name": "wait", "instances": [0.7]}
    thread = threading.Thread(target=lambda: slow.append(predict(body)))
    thread.start()
    assert predict({"signature_name": "wait", "instances": [0.0]}).status_code == 200
    assert http.get("/v1/models/tandem").status_code == 200
    assert thread.is_alive()
    thread.join()
    assert slow[0].json() == {"predictions": [0.7]}


@pytest.fixture
def start_rest(model_path: Path) -> Iterator[Callable[..., httpx.Client]]:
    """Starts a server with other settings."""
    servers, clients = [], []

    def start(**settings: Any) -> httpx.Client:
        settings = {"rest_api_port": _free_port(), "port": 0, **settings}
        config = ServerConfig(
            model_base_path=model_path.parent, model_name="tandem", host="localhost", **settings
        )
        server = ModelServer(config)
        servers.append(server)
        server.start()
        clients.append(httpx.Client(base_url=f"http://localhost:{config.rest_api_port}", timeout=30))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for server in servers:
        server.stop()


def test_pages_of_other_origins_may_not_ask_by_default(http: httpx.Client) -> None:
    response = http.get("/v1/models/tandem", headers={"Origin": "https://shop.example"})
    assert "Access-Control-Allow-Origin" not in response.headers


@own_server_only
def test_settings_of_the_server_are_followed(start_rest: Callable[..., httpx.Client]) -> None:
    http = start_rest(rest_api_enable_cors_support=True, rest_api_timeout_in_ms=100)

    # Without a monitoring file there is no page.
    assert http.get(METRICS).status_code == 404

    # Pages of other origins may ask.
    cors = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, GET",
        "Access-Control-Allow-Headers": "Content-Type",
    }
    asked = http.options("/v1/models/tandem:predict", headers={"Origin": "https://shop.example"})
    assert asked.status_code == 200
    for response in (asked, http.get("/v1/models/tandem"), http.get("/v1/nothing")):
        assert {name: response.headers.get(name) for name in cors} == cors
    refused = http.options("/v1/models/tandem:predict")
    assert refused.status_code == 400
    assert _error(refused) == "Origin header is missing in CORS preflight"

    # What takes too long is given up.
    slow = http.post("/v1/models/tandem:predict", json={"signature_name": "wait", "instances": [20]})
    assert slow.status_code == 504
    assert _error(slow)


@own_server_only
def test_a_taken_port_ends_the_start(start_rest: Callable[..., httpx.Client]) -> None:
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"The address localhost:{port} must be free and is not"):
            start_rest(rest_api_port=port)


@own_server_only
def test_the_port_of_grpc_is_not_taken_for_rest(
    start_rest: Callable[..., httpx.Client], caplog: pytest.LogCaptureFixture
) -> None:
    port = _free_port()
    http = start_rest(port=port, rest_api_port=port)
    assert "--rest_api_port cannot be same as --port." in caplog.text
    with pytest.raises(httpx.HTTPError):
        http.get("/v1/models/tandem")
