"""The REST API, held to what the real server does; with ``SERVER_REST_ADDRESS`` set, the real one itself."""

from __future__ import annotations

import gzip
import re
import threading

import httpx
import numpy as np
import pytest

from tests.serving import tiny_model
from tests.serving.server.rest.asking import METRICS, Ask, error_of, own_server_only, query


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
    response = predict({"signature_name": "embed_query", "instances": [query("lamp"), query("dish")]})
    np.testing.assert_allclose(response.json()["predictions"], [_vector("lamp"), _vector("dish")], rtol=1e-4)


def test_several_outputs_are_objects_by_row_and_lists_by_column(predict: Ask) -> None:
    row = {"query": "", "user_id": "u", "history": ["apron"], "exclude": ["dish"], "filters": [""], "k": 2}
    row |= {
        "exclude_seen": False,
        "history_times": [0],
        "now": 0,
        "diversity": 0.0,
        "boost": [""],
        "pin": [""],
        "spell": True,
        "offset": 0,
        "sort": "",
    }
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
            "probabilities",
            "matches",
            "corrected_query",
            "reasons",
            "reason_item_ids",
            "reason_titles",
        }
    )
    assert by_column == {name: [value] for name, value in by_row.items()}
    assert by_row["num_results"] == 2
    assert by_row["titles"] == [tiny_model.TITLES[tiny_model.ITEM_IDS.index(i)] for i in by_row["item_ids"]]


def test_bytes_are_sent_as_base64(predict: Ask) -> None:
    plain = predict({"signature_name": "embed_query", "instances": [query("lamp")]})
    encoded = predict({"signature_name": "embed_query", "instances": [query({"b64": "bGFtcA=="})]})
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
    assert error_of(response).startswith("Failed to uncompress the gzipped body")


@own_server_only
@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_a_body_that_would_fill_the_memory_is_refused(
    predict: Ask, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.server.rest.api._MAX_BODY_BYTES", 1000)
    body = b" " * 1001
    response = predict(gzip.compress(body) if headers else body, headers=headers)
    assert response.status_code == 400
    assert error_of(response) == "The body of a request must not be larger than 1000 bytes."


def test_outputs_that_are_no_rows_need_the_column_format(predict: Ask) -> None:
    refused = predict({"signature_name": "measure", "instances": ["ab"]})
    assert refused.status_code == 400
    # Which of the outputs it names is left open.
    assert re.fullmatch(
        r"Tensor name: (total has no shape information |(table|length) has inconsistent batch size: .*)",
        error_of(refused),
    )
    response = predict({"signature_name": "measure", "inputs": ["ab", "c"]})
    assert response.json()["outputs"] == {"length": [2, 1], "total": 3, "table": tiny_model.ITEM_IDS}


def test_what_the_graph_refuses_is_told(predict: Ask) -> None:
    response = predict({"signature_name": "to_number", "instances": ["seven"]})
    assert response.status_code == 400
    assert "StringToNumberOp could not correctly convert string: seven" in error_of(response)


def test_a_version_is_asked_by_its_number(predict: Ask) -> None:
    body = {"signature_name": "wait", "instances": [0.0]}
    assert predict(body, "/v1/models/tandem/versions/1:predict").status_code == 200
    assert predict(body, "/v1/models/tandem/versions/001:predict").status_code == 200


def test_the_path_matches_in_any_case_and_the_name_is_decoded(predict: Ask, http: httpx.Client) -> None:
    body = {"signature_name": "wait", "instances": [0.0]}
    assert predict(body, "/V1/Models/t%61ndem/VERSIONS/1:predict").status_code == 200
    assert http.get("/V1/MODELS/tandem").status_code == 200


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
