"""Wishes of whole requests: what never comes back whatever is wished, and what a default leaves alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.channels import item_statistics
from models.item_table import ItemTable
from models.trained import TrainedModel
from serving.servable.servable import Servable
from tests import tiny
from tests.serving.servable.asking import ALL, Ask, name, shown

ASKED: list[tuple[str, dict[str, Any]]] = [
    ("search", {"query": ["glass box"], "user_id": ["ann"]}),
    ("search", {"query": [""], "user_id": ["bob"]}),
    ("recommend", {"user_id": ["ann"]}),
    ("recommend", {"user_id": [""], "history": [[name(5), name(2)]]}),
]
BOOSTS = ("room=hall:3", "room=hall:0.2", "colour=red:2", "room=:5", "room=attic:9", "x=y:2", "room=hall")


@pytest.mark.parametrize(("signature", "given"), ASKED)
def test_rules_hold_under_every_combination_of_wishes(
    ask: Ask, signature: str, given: dict[str, Any]
) -> None:
    rng = np.random.default_rng(len(signature) + len(str(given)))
    for _ in range(12):
        excluded = rng.choice(ALL, rng.integers(0, 4), replace=False)
        pins = rng.integers(0, ALL, rng.integers(0, 5))
        k = int(rng.integers(0, ALL + 3))
        is_filtered = bool(rng.integers(2))
        answer = ask(
            signature,
            **given,
            exclude=[[name(row) for row in excluded]],
            filters=[["room=hall"] if is_filtered else []],
            k=[k],
            diversity=[float(rng.choice([0.0, 0.3, 1.0]))],
            boost=[rng.choice(BOOSTS, rng.integers(0, 3)).tolist()],
            pin=[["", "no such item", *(name(row) for row in pins)]],
        )

        barred = {*excluded.tolist(), tiny.UNAVAILABLE}
        in_front = [row for row in dict.fromkeys(pins.tolist()) if row not in barred]
        passing = {row for row in range(ALL) if not is_filtered or tiny.ROOMS[row] == "hall"}
        everything = (passing - barred) | set(in_front)
        found = shown(answer)
        assert len(found) == len(set(found)) == min(k, len(everything))
        assert found[: len(in_front)] == [name(row) for row in in_front][:k]
        assert set(found) <= {name(row) for row in everything}
        assert answer["item_ids"].shape == (1, k)
        scores = answer["scores"][0]
        assert np.isfinite(scores).all()
        assert (np.diff(scores[: len(found)]) <= 0).all()
        assert not scores[len(found) :].any()


@pytest.mark.parametrize(("signature", "given"), ASKED)
def test_wishes_for_nothing_change_no_bit(ask: Ask, signature: str, given: dict[str, Any]) -> None:
    plain = ask(signature, **given)
    nothings: list[dict[str, Any]] = [
        {"diversity": [-1.0]},
        {"diversity": [float("nan")]},
        {"boost": [["", "room=attic:9", "room=hall:-2", "room=hall:0", "room=hall:two", "room=hall:1e999"]]},
        {"pin": [["", "no such item", name(tiny.UNAVAILABLE)]]},
    ]
    for wishes in nothings:
        for output, values in ask(signature, **given, **wishes).items():
            np.testing.assert_array_equal(values, plain[output], err_msg=f"{wishes} {output}")


def test_boost_of_a_recommendation_adds_the_logarithm(ask: Ask) -> None:
    plain = ask("recommend", user_id=["ann"])
    boost = ["room=hall:3", "room=hall:2", "colour=green:0.5"]
    lifted = ask("recommend", user_id=["ann"], boost=[boost])

    expected = {
        item: score
        + np.log(6.0) * (tiny.ROOMS[tiny.IDS.index(item.encode())] == "hall")
        - np.log(2.0) * (tiny.COLOURS[tiny.IDS.index(item.encode())] == "green")
        for item, score in zip(shown(plain), plain["scores"][0], strict=False)
    }
    assert shown(lifted) == sorted(expected, key=lambda item: -expected[item])
    np.testing.assert_allclose(
        lifted["scores"][0, : len(expected)], sorted(expected.values(), reverse=True), atol=1e-5
    )
    # Where a boost moves an item, its probability and reason go with it.
    for output in ("probabilities", "reasons"):
        before, after = (
            dict(zip(shown(answer), answer[output][0].tolist(), strict=False)) for answer in (plain, lifted)
        )
        assert before == after


def test_recommended_pin_that_was_no_candidate_has_its_own_probability(ask: Ask) -> None:
    history = {"user_id": [""], "history": [[name(0)]]}
    ranked = shown(ask("recommend", **history, k=[tiny.CONFIG.serve.num_candidates]))
    others = [name(row) for row in range(ALL) if name(row) not in ranked and row != tiny.UNAVAILABLE]
    assert others
    by_rank = ask("rank", query=[""], candidates=[others], **history)
    own = dict(zip(shown(by_rank), by_rank["probabilities"][0], strict=False))

    answer = ask("recommend", **history, pin=[others], k=[len(others)])

    assert shown(answer) == others
    np.testing.assert_allclose(answer["probabilities"][0], [own[item] for item in others], rtol=0.05)
    assert (answer["channel_scores"][0].sum(axis=1) > 0).all()


def test_value_with_a_colon_is_boosted_by_what_is_behind_the_last(items: ItemTable) -> None:
    from serving.servable.rules import Rules

    rules = Rules(tiny.with_rooms(items, {4: ["12:30"]}))

    logarithms = rules.boosts(tf.constant([["room=12:30:2", "room=hall:1e30"]]), tf.constant([[4, 3, 0]]))

    np.testing.assert_allclose(logarithms[0], [np.log(2.0), 20.0, 0.0], rtol=1e-5)


def test_catalogue_without_columns_has_nothing_to_boost(items: ItemTable) -> None:
    from serving.servable.rules import Rules

    bare = dataclasses.replace(items, categories=())

    logarithms = Rules(bare).boosts(tf.constant([["room=hall:2", ""]]), tf.constant([[4, 3]]))

    np.testing.assert_array_equal(logarithms, [[0.0, 0.0]])


def test_new_items_take_their_share_of_the_slots(items: ItemTable, trained: TrainedModel) -> None:
    """Of two new items the one that is listed anyway stays, and forbidden ones do not come."""
    recommender = tiny.shared_recommender()
    statistics = recommender.tables.statistics.copy()
    statistics[[2, 6, 9], item_statistics.NAMES.index("users_ever")] = 4
    recommender = dataclasses.replace(
        recommender, tables=dataclasses.replace(recommender.tables, statistics=statistics)
    )
    settings = {name: getattr(tiny.CONFIG.model, name) for name in ("max_history", "max_query_tokens")}
    made = {
        share: Servable(
            dataclasses.replace(trained, recommender=recommender),
            items,
            tiny.make_users(),
            tiny.make_searching(items, trained),
            tiny.make_recommending(items, recommender),
            **settings,
            max_text_tokens=tiny.CONFIG.model.max_text_tokens,
            num_candidates=1,
            exploration_share=share,
        ).signatures()["recommend"]
        for share in (0.0, 0.5)
    }
    lists = tf.zeros([1, 0], tf.string)

    def recommend(share: float, **given: Any) -> list[int]:
        request = {
            "user_id": tf.constant([""]),
            "history": tf.constant([[name(0)]]),
            "history_times": tf.zeros([1, 1], tf.int64),
            "now": tf.zeros([1], tf.int64),
            "exclude": lists,
            "filters": lists,
            "k": tf.constant([4]),
            "exclude_seen": tf.constant([True]),
            "diversity": tf.zeros([1]),
            "boost": lists,
            "pin": lists,
        }
        answer = {key: value.numpy() for key, value in made[share](**request | given).items()}
        scores = answer["scores"][0, : answer["num_results"][0]]
        assert (np.diff(scores) <= 0).all()
        return [tiny.IDS.index(item_id.encode()) for item_id in shown(answer)]

    ranked, explored = recommend(0.0), recommend(0.5)
    texts = np.zeros(ALL)
    links = recommender.tables.links["text"]
    np.add.at(texts, links.items[0], links.weights[0])
    new = sorted({2, 6, 9} - set(ranked), key=lambda row: (-texts[row], row))
    assert new
    slots = [ranked[0], new[0], ranked[1], *new[1:2]]
    assert explored == (slots + ranked[2:])[:4]
    barred = recommend(0.5, exclude=tf.constant([[name(new[0])]]))
    assert new[0] not in barred
    assert recommend(0.5, k=tf.constant([1])) == recommend(0.0, k=tf.constant([1]))
    pins = tf.constant([[name(7), name(new[0])]])
    assert recommend(0.5, pin=pins)[:2] == [7, new[0]]
