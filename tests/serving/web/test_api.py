from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from starlette.testclient import TestClient

from serving.client import Client
from tests.serving import tiny_model
from tests.serving.stub_server import StubServer
from tests.serving.web.conftest import PRICES, QUERIES, TEXT_SHARES, OpenGateway

LONG = "id" * 1000


@pytest.fixture
def client(server_address: str) -> Any:
    with Client(server_address) as client:
        yield client


def _ids(answer: Any) -> list[str]:
    return [item["item_id"] for item in answer.json()["results"]]


def test_search_answers_what_the_model_server_does(gateway: TestClient, client: Client) -> None:
    body = {
        "query": "a gift",
        "user_id": "12352",
        "history": ["fork"],
        "k": 4,
        "exclude": ["dish"],
        "exclude_seen": True,
        "filters": ["room=kitchen", "room=hall"],
    }

    answer = gateway.post("/api/search", json=body)

    (expected,) = client.search(
        ["a gift"],
        user_ids=["12352"],
        histories=[["fork"]],
        k=4,
        exclude=[["dish"]],
        exclude_seen=True,
        filters=[["room=kitchen", "room=hall"]],
    )
    assert answer.status_code == 200
    found = answer.json()["results"]
    assert [(item["item_id"], item["title"], item["score"]) for item in found] == [
        (result.item_id, result.title, pytest.approx(result.score)) for result in expected
    ]
    assert [item["rank"] for item in found] == [1, 2, 3]


def test_exclusions_and_ranges_reach_the_model_server(gateway: TestClient) -> None:
    body = {"item_id": "candle", "filters": ["room!=kitchen", "price<=20"]}

    assert set(_ids(gateway.post("/api/similar", json=body))) == {"basket"}


def test_answer_says_which_version_answered_and_how_long_it_took(gateway: TestClient) -> None:
    answer = gateway.post("/api/search", json={"query": "a"}).json()

    assert answer["model"] == {"name": "tandem", "version": 1}
    assert answer["took_ms"] >= answer["model_ms"] > 0


def test_each_result_says_what_brought_it_and_has_its_columns(gateway: TestClient) -> None:
    results = gateway.post("/api/search", json={"query": "a", "history": ["apron", "easel"], "k": 6}).json()

    positive = [item for item in results["results"] if item["score"] > 0]
    assert positive
    for item in positive:
        place = tiny_model.ITEM_IDS.index(item["item_id"])
        share = TEXT_SHARES[place]
        assert item["parts"]["text"]["share"] == pytest.approx(share, abs=1e-4)
        assert item["parts"]["behaviour"]["share"] == pytest.approx(1 - share, abs=1e-4)
        assert item["brought_by"] == {1.0: "text", 0.0: "behaviour"}.get(share, "both")
        assert item["columns"].get("Price") == PRICES[place]


def test_search_says_what_it_looked_for_and_which_words_matched(gateway: TestClient) -> None:
    corrected = gateway.post("/api/search", json={"query": "aprom", "k": 6}).json()
    typed = gateway.post("/api/search", json={"query": "aprom", "k": 6, "spell": False}).json()

    assert (corrected["corrected_query"], typed["corrected_query"]) == ("apron", "")
    matches = {item["item_id"]: item["matches"] for item in corrected["results"]}
    assert matches["apron"] == [["apron", "title"], ["a", "text"]]
    assert matches["fork"] == []


def test_search_has_pages_and_an_order(gateway: TestClient) -> None:
    def ids(**body: Any) -> list[str]:
        answer = gateway.post("/api/search", json={"query": "a gift", "k": 6} | body).json()
        return [item["item_id"] for item in answer["results"]]

    assert ids(k=2, offset=3) == ids()[3:5]
    assert ids(sort="-Price") == ids()[::-1]


def test_suggestions_and_facets_are_json(gateway: TestClient) -> None:
    suggestions = gateway.post("/api/suggest", json={"text": "bas"}).json()
    facets = gateway.post("/api/facets", json={"query": "ab", "k": 1}).json()

    assert suggestions == {"suggestions": [{"text": "Basket é", "kind": "item"}]}
    assert facets["num_matches"] == 6
    assert facets["counts"] == {"room=hall": 4}
    assert facets["histograms"]["price"]["counts"] == list(range(1, 11))


def test_recommended_item_has_its_reason_and_its_probability(gateway: TestClient, client: Client) -> None:
    body = {"history": ["fork", "dish"], "exclude_seen": False}

    answer = gateway.post("/api/recommend", json=body)

    (expected,) = client.recommend(histories=[["fork", "dish"]], exclude_seen=False)
    found = answer.json()["results"]
    reasons = {item["item_id"]: (item["reason"], item["reason_item_id"]) for item in found}
    assert reasons["dish"] == ("again", "dish")
    assert reasons["apron"] == ("history", "fork")
    assert [item["probability"] for item in found] == pytest.approx(
        [result.probability for result in expected]
    )


def test_times_of_the_history_and_the_moment_are_passed_on(gateway: TestClient) -> None:
    def reasons(**body: Any) -> set[tuple[str, str]]:
        items = gateway.post("/api/recommend", json=body).json()["results"]
        return {(item["reason"], item["reason_item_id"]) for item in items}

    assert reasons(history=["fork", "dish"]) == {("history", "fork")}
    assert reasons(history=["fork", "dish"], history_times=[1_300_000_000, 1_312_156_800]) == {
        ("history", "dish")
    }
    assert reasons() == {("popular", "")}
    assert reasons(now=1_312_156_800) == {("new", "")}


@pytest.mark.parametrize(
    ("path", "body"), [("similar", {"item_id": "fork"}), ("complement", {"cart": ["fork"]})]
)
def test_moment_of_a_list_is_passed_on(gateway: TestClient, path: str, body: dict[str, Any]) -> None:
    now, before, then = (
        set(_ids(gateway.post(f"/api/{path}", json=body | moment)))
        for moment in ({}, {"now": tiny_model.OPENING - 1}, {"now": tiny_model.OPENING})
    )

    assert now == then == set(tiny_model.ITEM_IDS) - {"fork"}
    assert before == set()


def test_moment_of_facets_is_passed_on(gateway: TestClient) -> None:
    now, before, then = (
        gateway.post("/api/facets", json={"now": moment}).json()
        for moment in (0, tiny_model.OPENING - 1, tiny_model.OPENING)
    )

    assert now == then
    assert (now["num_matches"], before["num_matches"], before["counts"]) == (6, 0, {})


def test_reason_for_a_search_is_the_text(gateway: TestClient) -> None:
    results = gateway.post("/api/search", json={"query": "a"}).json()["results"]

    assert {(item["reason"], item["reason_item_id"]) for item in results} == {("text", "")}


def test_recommendation_leaves_out_the_history_unless_told(gateway: TestClient) -> None:
    without = gateway.post("/api/recommend", json={"history": ["fork"]})
    with_it = gateway.post("/api/recommend", json={"history": ["fork"], "exclude_seen": False})

    assert "fork" not in _ids(without)
    assert "fork" in _ids(with_it)


def test_recommendation_for_nobody_is_what_the_model_gives_an_empty_user(
    gateway: TestClient, client: Client
) -> None:
    answer = gateway.post("/api/recommend", json={})

    (expected,) = client.recommend(user_ids=[""])
    assert _ids(answer) == [result.item_id for result in expected]


def test_similar_items_are_others(gateway: TestClient, client: Client) -> None:
    answer = gateway.post("/api/similar", json={"item_id": "fork", "k": 3})

    (expected,) = client.similar(["fork"], k=3)
    assert _ids(answer) == [result.item_id for result in expected]


def test_ranked_candidate_that_the_catalogue_lacks_comes_last_without_a_score(gateway: TestClient) -> None:
    answer = gateway.post("/api/rank", json={"candidates": ["new", "fork", "dish"], "query": "a"})

    *known, last = answer.json()["results"]
    assert {item["item_id"] for item in known} == {"fork", "dish"}
    assert (last["item_id"], last["score"], last["parts"], last["brought_by"]) == ("new", None, {}, None)
    assert (last["probability"], last["reason"], last["reason_item_id"]) == (None, "", "")


def test_examples_are_those_of_the_model(gateway: TestClient) -> None:
    examples = gateway.get("/api/examples").json()

    assert examples["queries"] == QUERIES
    assert examples["users"][0]["user_id"] == "12352"
    assert examples["items"][0] == {"item_id": "apron", "title": tiny_model.TITLES[0]}


def test_without_the_models_files_there_are_answers_but_no_examples_or_columns(
    open_gateway: OpenGateway, server_address: str
) -> None:
    gateway = open_gateway(server=server_address)

    assert gateway.get("/api/examples").json() == {"queries": [], "users": [], "items": []}
    results = gateway.post("/api/search", json={"query": "a"}).json()["results"]
    assert [item["columns"] for item in results] == [{}] * 6


def test_status_and_probes_of_a_gateway_whose_model_is_served(gateway: TestClient) -> None:
    versions = [{"version": 1, "state": "AVAILABLE", "error": ""}]
    assert gateway.get("/api/status").json() == {"model": "tandem", "ready": True, "versions": versions}
    assert gateway.get("/healthz").status_code == 200
    assert gateway.get("/readyz").json() == {"status": "ok"}


def test_gateway_without_a_model_server_is_alive_but_not_ready(open_gateway: OpenGateway) -> None:
    gateway = open_gateway(server="localhost:1")

    assert gateway.get("/healthz").status_code == 200
    assert gateway.get("/readyz").status_code == 503
    answer = gateway.post("/api/search", json={"query": "a"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    # Where the model server is, is nobody's business.
    assert "localhost:1" not in answer.text


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


def test_description_names_every_path_and_the_form_of_errors(gateway: TestClient) -> None:
    description = gateway.get("/openapi.json").json()

    assert set(description["paths"]) == {
        *(
            f"/api/{name}"
            for name in (
                *("search", "suggest", "facets", "recommend", "similar", "complement", "rank"),
                *("status", "examples"),
            )
        ),
        "/healthz",
        "/readyz",
    }
    search = description["paths"]["/api/search"]["post"]
    for status in ("400", "422", "429", "503"):
        schema = search["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/api/search", 405)]
)
def test_wrong_path_or_method_is_told_in_json(
    gateway: TestClient, method: str, path: str, status: int
) -> None:
    answer = gateway.request(method, path)

    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


def test_gateway_does_not_import_tensorflow() -> None:
    program = "import sys, serving.web.server; print([m for m in ('tensorflow', 'tfx') if m in sys.modules])"
    root = Path(__file__).parents[3]

    output = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)

    assert output.stdout.strip() == "[]", output.stderr
