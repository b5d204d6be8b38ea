"""What search, recommend and similar return: how much of it, what never, and for which history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.matrices import item_matrix
from models.trained import TrainedModel
from serving.client.results import CHANNELS
from serving.servable.arrangement import MAX_RESULTS
from serving.servable.asking import MAX_REQUEST_HISTORY
from tests import tiny
from tests.serving.servable.asking import ALL, LISTS, NOTHING_KNOWN, Ask, name, shown


@pytest.mark.parametrize(("signature", "given"), LISTS + NOTHING_KNOWN)
def test_answers_the_whole_available_catalogue_in_order(
    ask: Ask, signature: str, given: dict[str, Any]
) -> None:
    answer = ask(signature, **given)
    num_results = ALL - 1 - (signature == "similar")
    ids = shown(answer)

    assert answer["num_results"].tolist() == [num_results]
    assert len(set(ids)) == num_results
    assert name(tiny.UNAVAILABLE) not in ids
    assert [title.decode() for title in answer["titles"][0, :num_results]] == [
        tiny.TITLES[tiny.IDS.index(item_id.encode())] for item_id in ids
    ]
    scores = answer["scores"][0, :num_results]
    assert (np.diff(scores) <= 0).all()
    assert len(np.unique(scores)) > 1
    for values in (answer["scores"], answer["channel_scores"]):
        assert np.isfinite(values).all()


@pytest.mark.parametrize(("signature", "given"), LISTS)
@pytest.mark.parametrize("k", [0, 1, 7, ALL + 20])
def test_rows_are_k_wide_and_padded(ask: Ask, signature: str, given: dict[str, Any], k: int) -> None:
    answer = ask(signature, **given, k=[k])
    num_results = min(k, ALL - 1 - (signature == "similar"))

    assert answer["num_results"].tolist() == [num_results]
    assert answer["item_ids"].shape == answer["scores"].shape == answer["titles"].shape == (1, k)
    assert answer["channel_scores"].shape == (1, k, len(CHANNELS))
    assert (answer["item_ids"][0, num_results:] == b"").all()
    assert (answer["titles"][0, num_results:] == b"").all()
    assert not answer["scores"][0, num_results:].any()
    assert not answer["channel_scores"][0, num_results:].any()


@pytest.mark.parametrize(("signature", "given"), LISTS)
def test_k_has_a_limit(ask: Ask, signature: str, given: dict[str, Any]) -> None:
    assert ask(signature, **given, k=[2**31 - 1])["item_ids"].shape == (1, MAX_RESULTS)


@pytest.mark.parametrize(("signature", "given"), LISTS)
def test_negative_k_answers_nothing(ask: Ask, signature: str, given: dict[str, Any]) -> None:
    assert ask(signature, **given, k=[-3])["num_results"].tolist() == [0]


@pytest.mark.parametrize(("signature", "given"), LISTS)
@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (["room=hall"], lambda room, colour: room == "hall"),
        (["room=hall", "room=garden"], lambda room, colour: room in ("hall", "garden")),
        (["room=hall", "colour=blue", ""], lambda room, colour: room == "hall" and colour == "blue"),
        (["room="], lambda room, colour: room == ""),
        (["room=hall", "room=no such room"], lambda room, colour: room == "hall"),
        (["room=no such room"], lambda room, colour: False),
        (["room!=hall", "colour!=blue"], lambda room, colour: room != "hall" and colour != "blue"),
        (["no such column=hall"], lambda room, colour: False),
        (["room=hall", "no such column=hall"], lambda room, colour: False),
        (["room"], lambda room, colour: False),
        (["=hall"], lambda room, colour: False),
        (["room=hall\nroom"], lambda room, colour: False),
        (["", ""], lambda room, colour: True),
    ],
)
def test_only_what_passes_the_filters_is_returned(
    ask: Ask, signature: str, given: dict[str, Any], filters: list[str], passes: Callable[[str, str], bool]
) -> None:
    answer = ask(signature, **given, filters=[filters])

    expected = {
        name(row)
        for row, tags in enumerate(zip(tiny.ROOMS, tiny.COLOURS, strict=True))
        if passes(*tags) and row != tiny.UNAVAILABLE and name(row) != given.get("item_id", [""])[0]
    }
    assert set(shown(answer)) == expected
    assert len(shown(answer)) == len(expected)


@pytest.mark.parametrize(("signature", "given"), LISTS)
def test_only_what_lies_in_the_ranges_is_returned(ask: Ask, signature: str, given: dict[str, Any]) -> None:
    answer = ask(signature, **given, filters=[["price>2", "price<=4.5", "room!=garden"]])

    assert set(shown(answer)) == {name(row) for row in (0, 5, 7)} - {given.get("item_id", [""])[0]}


@pytest.mark.parametrize(("signature", "given"), LISTS)
def test_excluded_items_are_never_returned(ask: Ask, signature: str, given: dict[str, Any]) -> None:
    everything = shown(ask(signature, **given))
    excluded = [everything[0], everything[4], "no such item", ""]
    left = shown(ask(signature, **given, exclude=[excluded]))
    none = ask(signature, **given, exclude=[[name(row) for row in range(ALL)]])

    assert set(left) == set(everything) - set(excluded)
    assert none["num_results"].tolist() == [0]


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({"user_id": ["ann"]}, {0, 1, 3, 4, 7, 10}),
        ({"user_id": ["bob"]}, {2, 9}),
        ({"user_id": ["cid"]}, set()),
        ({"user_id": ["nobody"]}, set()),
        ({"user_id": [""], "history": [[name(6), name(2), name(6), "no such item"]]}, {2, 6}),
        # What the request brings takes the place of what is stored.
        ({"user_id": ["ann"], "history": [[name(5)]]}, {5}),
        # Longer than the model looks at.
        ({"user_id": [""], "history": [[name(row) for row in range(8)]]}, set(range(8))),
        # Longer than the graph even compares.
        ({"user_id": [""], "history": [[name(1)] * MAX_REQUEST_HISTORY + [name(3)]]}, {1, 3}),
    ],
)
@pytest.mark.parametrize("signature", ["recommend", "search"])
def test_exclude_seen_leaves_out_the_whole_past(
    ask: Ask, signature: str, given: dict[str, Any], seen: set[int]
) -> None:
    query = {"query": ["box"]} if signature == "search" else {}
    fresh = set(shown(ask(signature, **query, **given, exclude_seen=[True])))

    assert fresh == {name(row) for row in set(range(ALL)) - seen - {tiny.UNAVAILABLE}}
    assert len(shown(ask(signature, **query, **given, exclude_seen=[False]))) == ALL - 1


def test_history_of_the_request_wins_over_the_stored_one(ask: Ask) -> None:
    stored = ask("embed_query", query=[""], user_id=["ann"])["embedding"]
    # As it is stored: most recent first, with repetitions for the counts.
    repeated = [name(row) for row in (0, 0, 3, 4, 10, 10, 10)]
    same = ask("embed_query", query=[""], user_id=["ann"], history=[repeated])["embedding"]
    other = ask("embed_query", query=[""], user_id=["ann"], history=[[name(5)]])["embedding"]
    unknown = ask("embed_query", query=[""], user_id=["ann"], history=[["no such item"]])["embedding"]

    np.testing.assert_allclose(same, stored, atol=1e-5)
    assert np.abs(other - stored).max() > 1e-3
    assert np.abs(unknown - stored).max() > 1e-3


def test_repeated_items_of_a_history_count(ask: Ask) -> None:
    once = ask("embed_query", query=[""], history=[[name(5), name(2)]])["embedding"]
    twice = ask("embed_query", query=[""], history=[[name(5), name(2), name(2)]])["embedding"]
    gaps = ask("embed_query", query=[""], history=[["", name(5), "no such item", name(2), ""]])["embedding"]

    assert np.abs(twice - once).max() > 1e-4
    np.testing.assert_allclose(gaps, once, atol=1e-6)


def test_query_and_history_together_differ_from_each_alone(ask: Ask) -> None:
    query, history = {"query": ["green candle"]}, {"history": [[name(0), name(10)]]}
    both = ask("embed_query", **query, **history)["embedding"]
    by_text = ask("embed_query", **query)["embedding"]
    by_history = ask("embed_query", query=[""], **history)["embedding"]
    scores = [
        ask("search", **given)["scores"] for given in (query | history, query, {"query": [""], **history})
    ]

    text = slice(0, 16)
    np.testing.assert_allclose(both[:, text], by_text[:, text], atol=1e-5)
    np.testing.assert_allclose(both[:, 16:-1], by_history[:, 16:-1], atol=1e-5)
    assert not by_text[:, 16:-1].any()
    assert not by_history[:, text].any()
    assert np.abs(scores[0] - scores[1]).max() > 1e-4
    assert np.abs(scores[0] - scores[2]).max() > 1e-4


def test_search_without_a_query_is_a_recommendation(ask: Ask) -> None:
    search, recommend = ask("search", query=[""], user_id=["ann"]), ask("recommend", user_id=["ann"])

    for output, values in recommend.items():
        if values.dtype == np.float32:
            # TensorFlow fuses other ops in a branch, which rounds the last digit in another way.
            np.testing.assert_allclose(search[output], values, atol=1e-6)
        else:
            np.testing.assert_array_equal(search[output], values)


def test_forbidden_items_do_not_change_the_scores_of_the_others(ask: Ask) -> None:
    allowed = [name(row) for row in (3, 5, 6, 9)]
    filtered = ask("search", query=["glass box"], filters=[["room=hall"]], k=[4])
    ranked = ask("rank", query=["glass box"], candidates=[allowed])

    assert set(shown(filtered)) == set(allowed)
    np.testing.assert_allclose(filtered["scores"], ranked["scores"], atol=1e-5)


def test_similar_is_the_cosine_of_texts_and_a_share_for_what_is_chosen_together(
    ask: Ask, trained: TrainedModel
) -> None:
    texts = item_matrix(trained.two_tower, ALL)[:, : trained.two_tower.encoder.output_dim]
    expected = texts @ texts[3] / np.linalg.norm(texts, axis=1) / np.linalg.norm(texts[3])
    for channel in ("basket", "ease"):
        links = tiny.shared_recommender().tables.links[channel]
        linked = np.zeros(ALL)
        np.add.at(linked, links.items[3], links.weights[3])
        expected += 0.15 * np.maximum(linked, 0) / linked.max()
    expected[[3, tiny.UNAVAILABLE]] = -np.inf

    answer = ask("similar", item_id=[name(3)], k=[5])

    np.testing.assert_array_equal(answer["item_ids"][0], np.array(tiny.IDS)[np.argsort(-expected)[:5]])
    np.testing.assert_allclose(answer["scores"][0], np.sort(expected)[::-1][:5], atol=1e-5)


@pytest.mark.parametrize("item_id", ["no such item", ""])
def test_nothing_is_similar_to_an_unknown_item(ask: Ask, item_id: str) -> None:
    answer = ask("similar", item_id=[item_id, name(0)], k=[3, 3])

    assert answer["num_results"].tolist() == [0, 3]
    assert (answer["item_ids"][0] == b"").all()
