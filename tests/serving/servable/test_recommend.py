"""Answers without a query: the moment they are for, their order, and why an item is in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.item_table import ItemTable
from serving.servable.recommending import Recommending
from tests import tiny
from tests.serving.servable.asking import ALL, Answer, Ask, name, shown

NEWEST = int(tiny.make_log().times.max())
NUM_CANDIDATES = tiny.CONFIG.serve.num_candidates
# The first two channel scores are those of the towers.
NUM_SEARCH_PARTS = 5


@pytest.fixture(scope="module")
def recommending(items: ItemTable) -> Recommending:
    return tiny.make_recommending(items, tiny.shared_recommender())


def assert_same(one: Answer, other: Answer) -> None:
    assert one.keys() == other.keys()
    for output, values in one.items():
        if values.dtype == object:
            np.testing.assert_array_equal(values, other[output], err_msg=output)
        else:
            np.testing.assert_allclose(values, other[output], atol=1e-4, err_msg=output)


def test_moment_that_is_left_out_is_the_newest_event(ask: Ask) -> None:
    assert_same(ask("recommend", user_id=["ann"]), ask("recommend", user_id=["ann"], now=[NEWEST]))


def test_moment_changes_the_answer(ask: Ask) -> None:
    today = ask("recommend", user_id=["ann"])
    later = ask("recommend", user_id=["ann"], now=[NEWEST + 90 * tiny.DAY])

    assert np.abs(today["scores"] - later["scores"]).max() > 1e-3


def test_places_stand_in_for_times(ask: Ask) -> None:
    """As many items as a typical basket has are of one moment, and the moments a typical gap apart."""
    horizon = tiny.shared_recommender().tables.horizon
    history = [name(row) for row in (3, 8, 1, 0, 6)]
    ages = [np.floor(place / horizon.basket_size) * horizon.gap for place in range(len(history))]
    times = [NEWEST - int(age * tiny.DAY) for age in ages]
    assert len(set(times)) > 1

    by_place = ask("recommend", user_id=[""], history=[history])
    by_time = ask("recommend", user_id=[""], history=[history], history_times=[times])

    assert_same(by_place, by_time)


def test_times_of_a_history_change_the_answer(ask: Ask) -> None:
    history = [name(3), name(8)]
    fresh, old = (
        ask("recommend", user_id=[""], history=[history], history_times=[[NEWEST - age * tiny.DAY] * 2])
        for age in (1, 150)
    )

    assert np.abs(fresh["channel_scores"] - old["channel_scores"]).max() > 1e-3


def test_unknown_items_and_padding_take_no_place(ask: Ask) -> None:
    plain = ask("recommend", user_id=[""], history=[[name(3), name(8)]])
    gaps = ask("recommend", user_id=[""], history=[["", name(3), "no such item", name(8), ""]])

    assert_same(plain, gaps)


def test_item_of_the_future_counts_as_just_now(ask: Ask) -> None:
    future, now = (
        ask("recommend", user_id=[""], history=[[name(3)]], history_times=[[time]], now=[NEWEST])
        for time in (NEWEST + 9 * tiny.DAY, NEWEST)
    )

    assert_same(future, now)


@pytest.mark.parametrize("user_id", ["ann", "bob", "cid", "nobody"])
def test_order_is_the_list_rankers_over_what_the_channels_name(
    ask: Ask, recommending: Recommending, items: ItemTable, user_id: str
) -> None:
    answer = ask("recommend", user_id=[user_id], k=[NUM_CANDIDATES])

    users = tiny.USER_IDS.tolist()
    position = tf.constant([users.index(user_id.encode()) if user_id.encode() in users else -1])
    history = recommending.history(
        position,
        tf.zeros([1, 0], tf.int32),
        tf.zeros([1, 0], tf.int64),
        tf.constant([False]),
        tf.constant([0], tf.int64),
    )
    channels, recommender = recommending.channels, tiny.shared_recommender()
    found = channels.candidates(
        history,
        tf.constant(recommender.neighbour_positions(np.array([user_id.encode()], object))),
        tf.constant(items.available[None]),
        num_unseen=tf.constant([NUM_CANDIDATES]),
    )
    said = recommender.ranker(found.features)
    scores = np.where(found.is_valid, said["logit"], -np.inf)[0]
    order = np.argsort(-scores, kind="stable")[:NUM_CANDIDATES]
    np.testing.assert_allclose(answer["scores"][0], scores[order], atol=1e-4)
    np.testing.assert_allclose(answer["probabilities"][0], said["buy"].numpy()[0, order], atol=1e-4)
    assert shown(answer) == [name(row) for row in found.rows.numpy()[0, order]]
    shares = [channels.feature_names.index(f"{channel}_share") for channel in channels.names]
    np.testing.assert_allclose(
        answer["channel_scores"][0, :, NUM_SEARCH_PARTS:],
        found.features.numpy()[0, order][:, shares],
        rtol=1e-3,
        atol=1e-4,
    )
    assert not answer["channel_scores"][0, :, :NUM_SEARCH_PARTS].any()


def test_rank_without_a_query_gives_the_callers_items_the_scores_of_a_recommendation(ask: Ask) -> None:
    asker: dict[str, Any] = {"user_id": ["ann"], "now": [NEWEST - 20 * tiny.DAY]}
    answer = ask("recommend", **asker, k=[NUM_CANDIDATES])
    # A shop's own list may hold what cannot be bought: the best of a channel is measured over the catalogue.
    ranked = ask("rank", query=[""], **asker, candidates=[[*reversed(shown(answer)), "no such item"]])

    assert set(shown(ranked)) == set(shown(answer))
    assert np.all(np.diff(ranked["scores"][0, :NUM_CANDIDATES]) <= 0)
    places = [shown(ranked).index(item) for item in shown(answer)]
    for output in ("scores", "probabilities"):
        np.testing.assert_allclose(ranked[output][0, places], answer[output][0], atol=0.2, err_msg=output)
    assert ranked["probabilities"][0, NUM_CANDIDATES] == 0.0


def test_what_the_user_had_is_there_again_and_the_rest_is_because_of_the_history(ask: Ask) -> None:
    answer = ask("recommend", user_id=["ann"])
    own = {name(row) for row in (0, 3, 4, 10, 1, 7)}

    for item, reason, speaker in zip(
        shown(answer), answer["reasons"][0], answer["reason_item_ids"][0], strict=False
    ):
        if item in own:
            assert (reason, speaker.decode()) == (b"again", item)
        else:
            assert reason in (b"history", b"popular")
            assert (speaker.decode() in own) == (reason == b"history")
    assert b"history" in answer["reasons"][0]
    assert b"again" not in ask("recommend", user_id=["ann"], exclude_seen=[True])["reasons"][0]


@pytest.mark.parametrize("user_id", ["", "nobody", "cid"])
def test_without_a_history_the_reason_is_what_everybody_chooses(ask: Ask, user_id: str) -> None:
    answer = ask("recommend", user_id=[user_id])

    assert set(answer["reasons"][0]) == {b"popular", b""}
    assert set(answer["reason_item_ids"][0]) == {b""}
    assert (answer["reasons"][0] == b"").sum() == ALL - answer["num_results"][0]


def said_by_links(history: list[str], times: list[int]) -> np.ndarray:
    """What each channel of links says of the catalogue, float32 ``[num_links, num_items]``."""
    said = tiny.shared_servable()[0].channel_scores(
        user_id=tf.constant([""]),
        history=tf.constant([history]),
        history_times=tf.constant([times], tf.int64),
        now=tf.constant([NEWEST], tf.int64),
    )
    return np.stack([scores.numpy()[0] for channel, scores in said.items() if channel != "neighbours"])


def test_without_the_item_that_spoke_the_channels_say_less(ask: Ask) -> None:
    """A channel's share is of the best it says with the whole history, so that shares can be compared."""
    history = [name(row) for row in (3, 8, 1, 0)]
    times = [NEWEST - (5 + 7 * place) * tiny.DAY for place in range(len(history))]

    answer = ask("recommend", user_id=[""], history=[history], history_times=[times])

    whole = said_by_links(history, times)
    best = np.maximum(whole.max(axis=1, keepdims=True), 1e-6)
    rows = zip(shown(answer), answer["reasons"][0], answer["reason_item_ids"][0], strict=False)
    because = {item: speaker.decode() for item, reason, speaker in rows if reason == b"history"}
    assert because
    for item, speaker in because.items():
        kept = [place for place, past in enumerate(history) if past != speaker]
        without = said_by_links([history[n] for n in kept], [times[n] for n in kept])
        column = tiny.IDS.index(item.encode())
        assert (without / best).sum(axis=0)[column] < (whole / best).sum(axis=0)[column], (item, speaker)


def test_reasons_of_a_row_do_not_depend_on_how_many_another_row_wants(ask: Ask) -> None:
    alone = ask("recommend", user_id=["ann"], k=[3], exclude_seen=[True])
    beside = ask("recommend", user_id=["ann", "bob"], k=[3, ALL], exclude_seen=[True, False])

    for output in ("reasons", "reason_item_ids", "item_ids"):
        np.testing.assert_array_equal(beside[output][0, :3], alone[output][0], err_msg=output)


@pytest.mark.parametrize(
    ("signature", "asked"),
    [("recommend", {}), ("recommend", {"history": [[name(6)]]}), ("search", {"query": [""]})],
)
def test_disliked_item_is_never_recommended_whatever_is_sent_or_pinned(
    ask: Ask, signature: str, asked: dict[str, Any]
) -> None:
    disliked = {name(row) for row in tiny.DISLIKED}
    pins = {"pin": [sorted(disliked)]}

    theirs, others = (shown(ask(signature, user_id=[user], **asked, **pins)) for user in ("dee", "nobody"))

    assert disliked <= set(others)
    assert set(theirs) == set(others) - disliked


def test_search_finds_what_its_user_dislikes(ask: Ask) -> None:
    found = shown(ask("search", query=["lamp"], user_id=["dee"]))

    assert {name(row) for row in tiny.DISLIKED} <= set(found)
