from __future__ import annotations

import datetime
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.client import Client, Result, Results, messages
from serving.client.errors import (
    FailedPreconditionError,
    InvalidRequestError,
    ModelNotFoundError,
    ServerTimeoutError,
    ServerUnavailableError,
    ServingError,
)
from serving.client.results import Histogram, Suggestion, TensorType, read_results
from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer
from tests.serving import tiny_model


@pytest.fixture(scope="module")
def in_process(model_path: Path) -> Callable[..., list[Results]]:
    """Calls a signature without a server; rows are padded by hand."""
    model = tf.saved_model.load(str(model_path))

    def call(signature: str, **inputs: Any) -> list[Results]:
        function = model.signatures[signature]
        batch = len(next(iter(inputs.values())))
        tensors = {
            # What is not given is nothing: empty texts and zeros.
            name: tf.constant(inputs[name])
            if name in inputs
            else tf.zeros([batch] + [1] * (spec.shape.rank - 1), spec.dtype)
            for name, spec in function.structured_input_signature[1].items()
        }
        answer = function(**tensors)
        outputs = {name: tensor.numpy().tolist() for name, tensor in answer.items()}

        def result(row: int, place: int) -> Result:
            # A sigmoid's last bit depends on the width of its tensor, and the client's is wider.
            probability: Any = pytest.approx(outputs["probabilities"][row][place])
            return Result(
                item_id=outputs["item_ids"][row][place].decode(),
                score=outputs["scores"][row][place],
                title=outputs["titles"][row][place].decode(),
                channel_scores=tuple(outputs["channel_scores"][row][place]),
                probability=probability,
                reason=outputs["reasons"][row][place].decode(),
                reason_item_id=outputs["reason_item_ids"][row][place].decode(),
                reason_title=outputs["reason_titles"][row][place].decode(),
                matches=(("apron", "title"), ("a", "text")) if outputs["matches"][row][place] else (),
            )

        return [
            Results(result(row, place) for place, item_id in enumerate(ids) if item_id)
            for row, ids in enumerate(outputs["item_ids"])
        ]

    return call


def test_search_is_corrected_paged_and_sorted(client: Client) -> None:
    (typed,) = client.search(["aprom"], k=6, spell=False)
    (corrected,) = client.search(["aprom"], k=6)
    (second,) = client.search(["aprom"], k=2, offset=3)
    (other,) = client.search(["aprom"], k=6, sort="price")

    assert (typed.corrected_query, corrected.corrected_query) == ("", "apron")
    assert second == corrected[3:5]
    assert [result.item_id for result in other] == [result.item_id for result in corrected[::-1]]


def test_suggestions_and_facets_are_read(client: Client) -> None:
    assert client.suggest(["Bas"]) == [[Suggestion(text="Basket é", kind="item")]]
    assert client.suggest(["zz"]) == [[]]
    assert client.suggest([]) == []
    first, second = client.facets(["", "ab"], k=2)
    assert (first.num_matches, first.counts) == (6, {"room=hall": 2, "room=kitchen": 3})
    assert second.counts == {"room=hall": 4, "room=kitchen": 5}
    assert first.histograms["price"] == Histogram(edges=tuple(range(11)), counts=tuple(range(1, 11)))


@pytest.mark.parametrize("offset", [-1, 1.5])
def test_offset_that_is_none_is_refused(client: Client, offset: Any) -> None:
    with pytest.raises(ValueError, match="offset must be a whole number of at least 0"):
        client.search(["a"], offset=offset)


def test_search_equals_the_model_called_in_process(client: Client, in_process: Any) -> None:
    results = client.search(
        ["grüne Kerze", "a gift"],
        user_ids=["", "12"],
        histories=[["fork"], ["dish", "apron"]],
        k=4,
        exclude=[["easel", "basket"], []],
        exclude_seen=True,
        filters=[[], ["room=kitchen", "room=hall"]],
    )

    expected = in_process(
        "search",
        query=["grüne Kerze", "a gift"],
        user_id=["", "12"],
        history=[["fork", ""], ["dish", "apron"]],
        k=[4, 4],
        exclude=[["easel", "basket"], ["", ""]],
        exclude_seen=[True, True],
        filters=[["", ""], ["room=kitchen", "room=hall"]],
    )
    assert results == expected
    assert {r.item_id for r in results[0]} == {"apron", "candle", "dish"}
    assert {r.item_id for r in results[1]} == {"basket", "candle", "fork"}
    assert results[0][0].title.endswith(" é")


def test_recommend_equals_the_model_called_in_process(client: Client, in_process: Any) -> None:
    results = client.recommend(user_ids=["7", "nobody"], histories=[["fork"], []], k=9)

    expected = in_process(
        "recommend",
        user_id=["7", "nobody"],
        history=[["fork"], [""]],
        k=[9, 9],
        exclude=[[""], [""]],
        exclude_seen=[True, True],
        filters=[[""], [""]],
    )
    assert results == expected
    assert [len(row) for row in results] == [5, 6]


def test_similar_equals_the_model_called_in_process(client: Client, in_process: Any) -> None:
    results = client.similar(["fork"], filters=[["room=hall"]])

    expected = in_process("similar", item_id=["fork"], k=[10], exclude=[[""]], filters=[["room=hall"]])
    assert results == expected
    assert {r.item_id for r in results[0]} == {"basket", "candle"}


def test_rank_keeps_unknown_candidates_last_and_drops_empty_ones(client: Client, in_process: Any) -> None:
    candidates = [["new", "fork", "", "apron"], ["dish", "easel", "fork", "candle"]]

    results = client.rank(candidates, queries=["a", "b"])

    expected = in_process(
        "rank", query=["a", "b"], candidates=candidates, user_id=["", ""], history=[[""], [""]]
    )
    assert results == expected
    assert results[0][-1] == Result(
        item_id="new", score=tiny_model.LOWEST, title="", channel_scores=(tiny_model.LOWEST,)
    )
    assert [len(row) for row in results] == [3, 4]


def test_requests_with_lists_of_several_lengths_share_a_batch(
    client: Client, model_path: Path, tmp_path: Path
) -> None:
    """A batch is run once it has three rows: alone, a request would wait past its deadline."""
    parameters = tmp_path / "batching.pbtxt"
    parameters.write_text(
        "max_batch_size { value: 3 } batch_timeout_micros { value: 600000000 }\n"
        "pad_variable_length_inputs: true"
    )
    server = ModelServer(
        ServerConfig(
            model_base_path=model_path.parent,
            model_name="tandem",
            host="localhost",
            port=0,
            enable_model_warmup=False,
            enable_batching=True,
            batching_parameters_file=parameters,
        )
    )
    requests: list[dict[str, Any]] = [
        {"histories": [["fork", "dish", "apron"]], "k": 2, "exclude_seen": True},
        {"filters": [["room=kitchen", "room=hall"]], "k": 6},
        {"exclude": [["easel"]], "k": 3},
    ]
    server.start()
    with Client(f"localhost:{server.port}", timeout_s=60) as batched, ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda request: batched.search(["a gift"], **request), requests))
    server.stop()

    alone = [client.search(["a gift"], **request) for request in requests]
    assert [[r.item_id for r in row] for (row,) in together] == [[r.item_id for r in row] for (row,) in alone]
    np.testing.assert_allclose(
        [r.score for (row,) in together for r in row], [r.score for (row,) in alone for r in row], rtol=1e-5
    )


def test_results_are_ordered_by_score(client: Client) -> None:
    scores = [result.score for result in client.search(["hello"])[0]]

    assert scores == sorted(scores, reverse=True)


def test_embeddings_are_batch_major_arrays(client: Client) -> None:
    items = client.embed_item(["apron", "fork"])
    queries = client.embed_query(["a", "b", "c"], histories=[[], ["apron"], []])

    np.testing.assert_allclose(items, tiny_model.VECTORS[[0, 5]], rtol=1e-6)
    assert queries.shape == (3, tiny_model.DIM)
    np.testing.assert_allclose(queries[1] - queries[0], tiny_model.VECTORS[0], rtol=1e-4)


def test_empty_batch_is_answered_without_a_call() -> None:
    with Client("localhost:1") as client:
        assert client.search([]) == []


def test_status_lists_the_versions(client: Client) -> None:
    (version,) = client.status()

    assert (version.version, version.state, version.error) == (1, "AVAILABLE", "")


def test_metadata_lists_the_signatures(client: Client) -> None:
    metadata = client.metadata()

    assert metadata.version == 1
    assert set(tiny_model.INPUTS) <= set(metadata.signatures)
    assert metadata.signatures["search"].inputs["history"] == TensorType(dtype="DT_STRING", shape=(-1, -1))
    assert metadata.signatures["embed_item"].outputs["embedding"].dtype == "DT_FLOAT"


def test_predict_gets_only_the_outputs_it_asks_for(client: Client) -> None:
    item = {"item_id": np.array([b"apron"], object), "text": np.array([b""], object)}

    assert set(client.predict("embed_item", item, ["embedding"])) == {"embedding"}
    with pytest.raises(InvalidRequestError, match="output tensor alias not found in signature: nothing"):
        client.predict("embed_item", item, ["nothing"])


def test_client_asks_the_version_it_is_told(address: str) -> None:
    with Client(address, version=1) as first:
        assert first.search(["x"], k=1)
        assert [version.version for version in first.status()] == [1]
    with (
        Client(address, version=9) as ninth,
        pytest.raises(ModelNotFoundError, match=r"Specific\(tandem, 9\)"),
    ):
        ninth.search(["x"])
    with (
        Client(address, version_label="canary") as canary,
        pytest.raises(InvalidRequestError, match="Unrecognized servable version label: canary"),
    ):
        canary.search(["x"])


def test_answer_of_another_kind_of_model_is_explained() -> None:
    with pytest.raises(ServingError, match="Got none named item_ids, titles"):
        read_results(messages.PredictResponse(outputs={"scores": {}, "channel_scores": {}}))


def test_no_server_is_one_clear_sentence() -> None:
    with Client("localhost:1") as client, pytest.raises(ServerUnavailableError) as error:
        client.search(["x"])

    assert str(error.value) == "No server answers at localhost:1; start one with `tandem serve`."
    assert error.value.code == "UNAVAILABLE"


def test_other_failures_have_a_class_each(address: str) -> None:
    with Client(address, model_name="nobody") as stranger, pytest.raises(ModelNotFoundError):
        stranger.search(["x"])
    with Client(address) as client:
        with pytest.raises(FailedPreconditionError, match='"nothing" not found'):
            client.predict("nothing", {})
        with pytest.raises(InvalidRequestError, match="input size does not match signature"):
            client.predict("search", {})
    with Client(address, timeout_s=0.2) as hurried, pytest.raises(ServerTimeoutError, match=r"within 0\.2 s"):
        hurried.predict("wait", {"seconds": np.array([1.0])})
    with Client(address) as client, pytest.raises(ServerTimeoutError, match=r"within 0\.1 s"):
        client.predict("wait", {"seconds": np.array([1.0])}, timeout_s=0.1)


def test_wait_until_ready_gives_up_in_time() -> None:
    with (
        Client("localhost:1") as client,
        pytest.raises(ServerTimeoutError, match="must serve tandem"),
    ):
        client.wait_until_ready(0.1)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda c: c.search(["a", "b"], user_ids=["1"]),
            "All arguments must have the same number of rows. Got queries 2, user_ids 1.",
        ),
        (
            lambda c: c.search("gift"),
            "queries must be a list with one entry per row. Got the text 'gift'.",
        ),
        (lambda c: c.search([None]), "queries must hold texts. Got None."),
        (lambda c: c.search(["a"], k=0), "k must be a whole number of at least 1. Got 0."),
        (lambda c: c.search(["a"], k=2.5), "k must be a whole number of at least 1. Got 2.5."),
        (
            lambda c: c.search(["a"], exclude=["apron"]),
            "exclude must have one list of texts per row. Got the text 'apron' as a row.",
        ),
        (
            lambda c: c.similar(["a"], filters=[["kitchen"]]),
            'A filter must be "column=value", "column!=value" or a range such as "price<=20". '
            "Got 'kitchen'.",
        ),
        (lambda c: c.recommend(), "recommend must have user_ids or histories. Got neither."),
        (
            lambda c: c.embed_query(),
            "At least one of queries, user_ids, histories must be given. Got none.",
        ),
        (
            lambda c: c.search(["a", "b"], histories=[["x"], []], history_times=[[1]]),
            "All arguments must have the same number of rows. Got histories 2, history_times 1.",
        ),
        (
            lambda c: c.search(["a", "b"], histories=[["x"], ["x", "y"]], history_times=[[1], [1]]),
            "history_times must have one time for each item of histories. Got 1 for the 2 items of row 1.",
        ),
        (
            lambda c: c.recommend(user_ids=["7"], history_times=[[1]]),
            "history_times must come with histories. Got no histories.",
        ),
        (
            lambda c: c.recommend(histories=[["x"]], history_times=[1]),
            "history_times must have one list of times per row. Got 1 as a row.",
        ),
        (
            lambda c: c.recommend(histories=[["x"]], history_times="1"),
            "history_times must be a list with one entry per row. Got the text '1'.",
        ),
        (
            lambda c: c.recommend(histories=[["x"]], history_times=[["August"]]),
            "A time of history_times must be epoch seconds or a datetime, from 1970 to 9999. Got 'August'.",
        ),
        (
            lambda c: c.recommend(user_ids=["7"], now=None),
            "now must be epoch seconds or a datetime, from 1970 to 9999. Got None.",
        ),
        (
            lambda c: c.recommend(user_ids=["7"], now=True),
            "now must be epoch seconds or a datetime, from 1970 to 9999. Got True.",
        ),
        (
            lambda c: c.recommend(user_ids=["7"], now=float("nan")),
            "now must be epoch seconds or a datetime, from 1970 to 9999. Got nan.",
        ),
        (
            lambda c: c.recommend(user_ids=["7"], now=-1),
            "now must be epoch seconds or a datetime, from 1970 to 9999. Got -1.",
        ),
        (
            # These are milliseconds.
            lambda c: c.recommend(user_ids=["7"], now=1_312_192_800_000),
            "now must be epoch seconds or a datetime, from 1970 to 9999. Got 1312192800000.",
        ),
        (
            lambda c: c.recommend(user_ids=["7"], now=datetime.datetime(1969, 7, 20)),
            "now must be epoch seconds or a datetime, from 1970 to 9999. Got 1969-07-20T00:00:00.",
        ),
        (
            lambda c: Client("http://localhost:8500"),
            "address must be HOST:PORT, for example localhost:8500. Got 'http://localhost:8500'.",
        ),
    ],
)
def test_wrong_argument_is_named_before_a_call(call: Callable[[Client], Any], sentence: str) -> None:
    with Client("localhost:1") as client, pytest.raises(ValueError) as error:  # noqa: PT011 (whole below)
        call(client)

    assert str(error.value) == sentence
