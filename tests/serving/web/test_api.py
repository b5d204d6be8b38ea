from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.client import Client
from tests.serving import tiny_model
from tests.serving.web.conftest import PRICES, QUERIES, TEXT_SHARES, OpenGateway


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
