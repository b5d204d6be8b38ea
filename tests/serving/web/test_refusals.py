"""Requests at their limits: what is refused, in which sentence, and what is taken nevertheless."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from starlette.testclient import TestClient

from tests.serving.stub_server import StubServer
from tests.serving.web.conftest import OpenGateway

LONG = "id" * 1000


@pytest.mark.parametrize(
    ("code", "status", "is_told"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400, True),
        (grpc.StatusCode.OUT_OF_RANGE, 400, True),
        (grpc.StatusCode.UNAUTHENTICATED, 502, False),
        (grpc.StatusCode.PERMISSION_DENIED, 502, False),
        (grpc.StatusCode.NOT_FOUND, 503, False),
        (grpc.StatusCode.FAILED_PRECONDITION, 501, False),
        (grpc.StatusCode.UNIMPLEMENTED, 501, False),
        (grpc.StatusCode.UNAVAILABLE, 503, False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 503, False),
        (grpc.StatusCode.CANCELLED, 503, False),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, False),
        (grpc.StatusCode.INTERNAL, 502, False),
        (grpc.StatusCode.UNKNOWN, 502, False),
    ],
)
def test_grpc_error_becomes_a_status_and_a_sentence(
    open_gateway: OpenGateway, log: Any, code: grpc.StatusCode, status: int, is_told: bool
) -> None:
    words = "on machine seven"
    with StubServer(num_failures=10, code=code, details=words) as server:
        answer = open_gateway(server=server.address).get("/api/status")

    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert (words in answer.text) is is_told
    # Whoever runs the gateway learns the reason in any case.
    assert f"{code.name}: " in log.getvalue()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("recommend", {"user_id": LONG, "history": [LONG], "exclude": [LONG], "pin": [LONG]}),
        ("similar", {"item_id": LONG, "filters": [f"room={LONG}"]}),
        ("complement", {"cart": [LONG]}),
        ("rank", {"candidates": [LONG]}),
    ],
)
def test_id_may_be_as_long_as_a_catalogue_has_it(
    gateway: TestClient, path: str, body: dict[str, Any]
) -> None:
    answer = gateway.post(f"/api/{path}", json=body)

    assert answer.status_code == 200
    if path == "rank":
        assert [item["item_id"] for item in answer.json()["results"]] == [LONG]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("recommend", {"history": ["fork"], "exclude_seen": False}),
        ("recommend", {"exclude": ["fork", "dish"], "pin": ["apron"]}),
        ("similar", {"item_id": "fork"}),
        ("complement", {"cart": ["fork", "dish"]}),
        ("rank", {"candidates": ["dish", "fork", "47"]}),
    ],
)
def test_ids_are_read_as_those_of_a_file(gateway: TestClient, path: str, body: dict[str, Any]) -> None:
    def as_typed(value: Any) -> Any:
        if isinstance(value, list):
            return [as_typed(part) for part in value]
        return (f" {value}.0\n" if value.isdigit() else f" {value}\n") if isinstance(value, str) else value

    answers = [
        gateway.post(f"/api/{path}", json=asked).json()["results"]
        for asked in (body, {name: as_typed(value) for name, value in body.items()})
    ]

    assert answers[0]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("search", {}, "query must be given."),
        ("search", {"query": ""}, "query must have at least 1 characters. Got a text of 0."),
        ("search", {"query": "a" * 1001}, "query must have at most 1000 characters. Got a text of 1001."),
        ("search", {"query": 7}, "query must be a text. Got 7."),
        ("search", {"query": "a", "k": 0}, "k must be at least 1. Got 0."),
        ("search", {"query": "a", "k": 101}, "k must be at most 100. Got 101."),
        ("search", {"query": "a", "k": 1.5}, "k must be a whole number. Got 1.5."),
        ("search", {"query": "a", "limit": 3}, "limit is not a name this request knows. Got 3."),
        (
            "search",
            {"query": "a", "filters": ["price<=20", "price<=cheap"]},
            'filters.1 must be "column=value", "column!=value" or a range such as "price<=20". '
            "Got a text of 12.",
        ),
        (
            "recommend",
            {"history": ["x"] * 1001},
            "history must have at most 1000 entries. Got a list of 1001.",
        ),
        ("recommend", {"history": [""]}, "history.0 must have at least 1 characters. Got a text of 0."),
        ("recommend", {"history": "fork"}, "history must be a list. Got a text of 4."),
        ("similar", {"item_id": ""}, "item_id must have at least 1 characters. Got a text of 0."),
        ("rank", {"candidates": []}, "candidates must have at least 1 entries. Got a list of 0."),
        ("rank", {"candidates": ["x"] * 101}, "candidates must have at most 100 entries. Got a list of 101."),
        (
            "recommend",
            {"history": ["a", "b"], "history_times": [1]},
            "history_times must have one time for each of the 2 items of history. Got a list of 1.",
        ),
        (
            "search",
            {"query": "a", "history_times": [1]},
            "history_times must have one time for each of the 0 items of history. Got a list of 1.",
        ),
        (
            "recommend",
            {"history": ["a"], "history_times": ["2011-08-01"]},
            "history_times.0 must be a whole number. Got a text of 10.",
        ),
        (
            "recommend",
            {"history": [""], "history_times": [1]},
            "history.0 must have at least 1 characters. Got a text of 0.",
        ),
        ("recommend", {"now": -1}, "now must be at least 0. Got -1."),
        ("recommend", {"now": 1_312_156_800_000}, "now must be at most 253402300799. Got 1312156800000."),
        ("similar", {"item_id": "a", "now": -1}, "now must be at least 0. Got -1."),
        ("suggest", {"text": "a", "now": 1}, "now is not a name this request knows. Got 1."),
        ("rank", [], "The body must be a JSON object, sent as application/json. Got a list of 0."),
    ],
)
def test_request_of_the_wrong_form_is_told_what_must_hold(
    gateway: TestClient, path: str, body: Any, sentence: str
) -> None:
    answer = gateway.post(f"/api/{path}", json=body)

    assert answer.status_code == 422
    assert answer.json() == {"error": sentence}


@pytest.mark.parametrize("factor", ["1.2.3", "1..2", "0", "0.", ".", "-1"])
def test_boost_whose_factor_is_not_above_zero_is_refused(gateway: TestClient, factor: str) -> None:
    answer = gateway.post("/api/search", json={"query": "a", "boost": [f"room=hall:{factor}"]})

    assert answer.status_code == 422
    assert answer.json()["error"].startswith("boost.0 must match ")


@pytest.mark.parametrize("factor", ["2", "0.5", ".5", "10.25", "007"])
def test_boost_with_any_factor_above_zero_is_taken(gateway: TestClient, factor: str) -> None:
    answer = gateway.post("/api/search", json={"query": "a", "boost": [f"room=hall:{factor}"]})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"\xff\xfe",
        b'{"query": "\\ud800"}',
        b'{"query": "a", "\\ud800": 1}',
        b'{"query": "a", "k": NaN}',
        b'{"query": "a", "k": 1e400}',
        b"[" * 100_000,
        b'{"query": "a", "k": 1' + b"0" * 5000 + b"}",
    ],
)
def test_body_that_is_no_request_is_refused_in_one_sentence(gateway: TestClient, body: bytes) -> None:
    answer = gateway.post("/api/search", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 422)
    assert list(answer.json()) == ["error"]


def test_json_under_another_name_is_refused_as_a_foreign_page_could_send_it(gateway: TestClient) -> None:
    answer = gateway.post("/api/search", content=b'{"query": "a"}', headers={"Content-Type": "text/plain"})

    assert answer.status_code == 422


@pytest.mark.parametrize("query", ["\x00", "é" * 1000, "🫖", " ", "'; DROP TABLE items; --", "<script>"])
def test_any_text_is_a_query(gateway: TestClient, query: str) -> None:
    assert gateway.post("/api/search", json={"query": query}).status_code == 200
