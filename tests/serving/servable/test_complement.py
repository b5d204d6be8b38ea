"""What goes with a cart: links of baskets, then texts, then popularity, and never what must not be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models.channels import item_statistics
from models.item_table import ItemTable
from models.matrices import item_matrix
from models.trained import TrainedModel
from serving.client.results import CHANNELS
from tests import tiny
from tests.serving.servable.asking import ALL, Ask, name, shown

CARTS = [[0], [3, 8], [1, 1, 2, 5], []]


def linked(channel: str) -> np.ndarray:
    """float64 ``[num_items, num_items]``, what each item says of each."""
    links = tiny.shared_recommender().tables.links[channel]
    matrix = np.zeros((ALL, ALL))
    np.add.at(matrix, (np.arange(ALL)[:, None], links.items), links.weights)
    return matrix


def popularity() -> np.ndarray:
    users = tiny.shared_recommender().tables.statistics[:, item_statistics.NAMES.index("users_long")]
    return users / (users.max() + 1)


@pytest.mark.parametrize("cart", CARTS)
def test_complement_is_the_sum_of_basket_cosines_then_of_texts_then_popularity(
    ask: Ask, cart: list[int]
) -> None:
    answer = ask("complement", item_ids=[["", *(name(row) for row in cart), "no such item"]])

    distinct = sorted(set(cart))
    baskets, texts = (linked(channel)[distinct] for channel in ("basket", "text"))
    basket, text = baskets.sum(axis=0), texts.sum(axis=0)
    expected = np.where(
        basket > 0, basket, np.where(text > 0, text / (len(distinct) + 1) - 1, popularity() - 2)
    )
    rows = [tiny.IDS.index(item_id) for item_id in answer["item_ids"][0, : answer["num_results"][0]]]
    assert set(rows) == set(range(ALL)) - set(cart) - {tiny.UNAVAILABLE}
    np.testing.assert_allclose(answer["scores"][0, : len(rows)], expected[rows], atol=1e-5)
    assert (np.diff(answer["scores"][0, : len(rows)]) <= 0).all()
    for place, row in enumerate(rows):
        reason, speaker = answer["reasons"][0, place], answer["reason_item_ids"][0, place]
        said = baskets[:, row] if basket[row] > 0 else texts[:, row]
        if basket[row] > 0 or text[row] > 0:
            assert reason == (b"history" if basket[row] > 0 else b"text")
            assert said[distinct.index(tiny.IDS.index(speaker))] == said.max()
        else:
            assert (reason, speaker) == (b"popular", b"")
    shares = answer["channel_scores"][0, : len(rows), CHANNELS.index("basket")]
    np.testing.assert_allclose(shares, basket[rows] / max(basket.max(), 1e-9), atol=1e-5)


@pytest.mark.parametrize("k", [-1, 0, 1, 4, ALL + 9])
def test_complements_are_k_wide_and_padded(ask: Ask, k: int) -> None:
    answer = ask("complement", item_ids=[[name(0), name(2)]], k=[k])

    num_results = min(max(k, 0), ALL - 3)
    assert answer["num_results"].tolist() == [num_results]
    assert answer["item_ids"].shape == answer["reasons"].shape == (1, max(k, 0))
    assert answer["channel_scores"].shape == (1, max(k, 0), len(CHANNELS))
    assert (answer["item_ids"][0, num_results:] == b"").all()


def test_cart_of_no_width_or_longer_than_the_graph_looks_at(ask: Ask) -> None:
    assert ask("complement", item_ids=[[]])["num_results"].tolist() == [ALL - 1]
    long = ["no such item"] * 1500 + [name(4)]
    assert name(4) not in shown(ask("complement", item_ids=[long]))


def test_excluded_filtered_and_carted_items_are_not_returned(ask: Ask) -> None:
    answer = ask(
        "complement",
        item_ids=[[name(3)], [name(5), name(6)]],
        exclude=[[name(6)], []],
        filters=[["room=hall"], ["room=hall", "colour=green"]],
    )

    assert set(shown(answer)) == {name(5), name(9)}
    assert shown(answer, 1) == [name(9)]


def test_without_events_it_answers_by_the_mean_cosine_of_texts(
    items: ItemTable, trained: TrainedModel
) -> None:
    servable = tiny.make_servable(items, dataclasses.replace(trained, recommender=None))
    lists = tf.zeros([2, 0], tf.string)
    answer = servable.signatures()["complement"](
        item_ids=tf.constant([[name(2), name(7)], ["?", ""]]),
        now=tf.zeros([2], tf.int64),
        exclude=lists,
        filters=lists,
        k=tf.constant([5, 5]),
    )

    texts = item_matrix(trained.two_tower, ALL)[:, : trained.two_tower.encoder.output_dim]
    expected = texts @ texts[[2, 7]].mean(axis=0)
    expected[[2, 7, tiny.UNAVAILABLE]] = -np.inf
    best = np.argsort(-expected)[:5]
    np.testing.assert_array_equal(answer["item_ids"][0], np.array(tiny.IDS, object)[best])
    np.testing.assert_allclose(answer["scores"][0], expected[best], atol=1e-5)
    nearest = np.array([2, 7])[np.argmax(texts[best] @ texts[[2, 7]].T, axis=1)]
    np.testing.assert_array_equal(answer["reason_item_ids"][0], np.array(tiny.IDS, object)[nearest])
    assert set(answer["reasons"].numpy().ravel()) == {b"text"}
    assert answer["num_results"].numpy().tolist() == [5, 5]
