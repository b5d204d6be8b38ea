from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from models.channels.cosine import shared_links, text_links
from models.channels.history import Horizon, history_of_events
from models.channels.links import BINARY, DECAYED, LONG, MIDDLE, NORMED, SHORT, Links, follow, history_weights

NUM_ITEMS = 9
RNG = np.random.default_rng(0)


def dense(links: Links) -> np.ndarray[Any, Any]:
    """float64 ``[num_items, num_items]``, each link added to its place."""
    matrix = np.zeros((len(links.items), len(links.items)))
    for row, (items, weights) in enumerate(zip(links.items, links.weights, strict=True)):
        for item, weight in zip(items, weights, strict=True):
            matrix[row, item] += weight
    return matrix


def strongest_of(matrix: np.ndarray[Any, Any], number: int) -> np.ndarray[Any, Any]:
    kept = np.zeros_like(matrix)
    for row, values in enumerate(matrix):
        best = sorted(range(len(values)), key=lambda item: -abs(values[item]))[:number]
        kept[row, best] = values[best]
    return kept


@pytest.mark.parametrize("number", [1, 4, NUM_ITEMS, 50])
def test_strongest_keeps_the_largest_weights_of_each_row_negative_ones_too(number: int) -> None:
    matrix = RNG.normal(size=(NUM_ITEMS, NUM_ITEMS)).astype(np.float32)

    links = Links.strongest(matrix, number)

    assert links.items.shape == (NUM_ITEMS, min(number, NUM_ITEMS))
    np.testing.assert_array_equal(dense(links), strongest_of(matrix, number))


def test_following_is_the_product_of_a_history_and_the_links() -> None:
    links = Links.strongest(RNG.normal(size=(NUM_ITEMS, NUM_ITEMS)).astype(np.float32), 4)
    rows = np.array([[3, 0, 8, -1], [-1, -1, -1, -1], [5, -1, -1, -1]], np.int32)
    weights = np.where(rows >= 0, RNG.random(rows.shape), 0.0).astype(np.float32)

    other = Links.strongest(RNG.normal(size=(NUM_ITEMS, NUM_ITEMS)).astype(np.float32), 4)
    safe = np.maximum(rows, 0)
    items, strengths = (
        np.stack([getattr(each, part)[safe] for each in (links, other)], axis=2)
        for part in ("items", "weights")
    )

    scores = follow(items, strengths, np.stack([weights, 2 * weights], axis=2), NUM_ITEMS)

    history = np.zeros((3, NUM_ITEMS))
    for user, seen in enumerate(rows):
        history[user, seen[seen >= 0]] = weights[user][seen >= 0]
    np.testing.assert_allclose(scores[:, 0], history @ dense(links), atol=1e-5)
    np.testing.assert_allclose(scores[:, 1], 2 * history @ dense(other), atol=1e-5)


def test_links_of_nothing_say_nothing() -> None:
    none = Links.none(NUM_ITEMS)

    items, weights = (values[[[1, 2]]][:, :, None] for values in (none.items, none.weights))

    assert not follow(items, weights, tf.ones([1, 2, 1]), NUM_ITEMS).numpy().any()


def test_links_move_to_the_rows_of_another_catalogue_and_lose_what_is_gone() -> None:
    links = Links.strongest(RNG.normal(size=(NUM_ITEMS, NUM_ITEMS)).astype(np.float32), 5)
    # Items 2 and 7 are gone, and four of twelve are new.
    rows = np.array([11, 0, -1, 4, 5, 1, 9, -1, 3])

    moved = links.on_rows(rows, 12)

    expected = np.zeros((12, 12))
    before = dense(links)
    for one in range(NUM_ITEMS):
        for other in range(NUM_ITEMS):
            if rows[one] >= 0 and rows[other] >= 0:
                expected[rows[one], rows[other]] = before[one, other]
    np.testing.assert_array_equal(dense(moved), expected)


def test_each_channel_weighs_a_history_in_its_own_way() -> None:
    horizon = Horizon(window=30.0, half_life=30.0, gap=10.0)
    history = history_of_events(
        tf.constant([[2, 2, 5], [1, -1, -1]]),
        tf.constant([[0.0, 30.0, 60.0], [15.0, 0.0, 0.0]]),
        tf.ones([2, 3]),
        horizon=horizon,
        max_items=9,
    )

    ages = {2: [0.0, 30.0], 5: [60.0]}
    sums = [[sum(0.5 ** (age / h) for age in ages[item]) for item in (2, 5)] for h in horizon.half_lives]
    logs = np.log(1 + 3 * np.array(sums))
    expected = {
        SHORT: logs[0],
        MIDDLE: logs[1],
        LONG: logs[2],
        DECAYED: np.array(sums[1]),
        BINARY: np.ones(2),
    }
    expected[NORMED] = logs[1] / np.sqrt(np.linalg.norm(logs[1]))
    for kind, weights in expected.items():
        found = history_weights(history, kind).numpy()
        np.testing.assert_allclose(found[0, :2], weights, rtol=1e-5, err_msg=kind)
        assert found[1, 1] == 0.0


def test_items_are_linked_by_the_groups_they_share() -> None:
    groups = (RNG.random((25, NUM_ITEMS)) < 0.3).astype(np.float32)

    links = shared_links(sparse.csr_matrix(groups), num_links=4, shrink=2.0)

    cosine = np.zeros((NUM_ITEMS, NUM_ITEMS))
    for one in range(NUM_ITEMS):
        for other in range(NUM_ITEMS):
            if one != other:
                both = (groups[:, one] * groups[:, other]).sum()
                cosine[one, other] = both / (np.sqrt(groups[:, one].sum() * groups[:, other].sum()) + 2.0)
    np.testing.assert_allclose(np.sort(links.weights), np.sort(cosine)[:, -4:], atol=1e-6)
    rows = np.arange(NUM_ITEMS)[:, None]
    np.testing.assert_allclose(cosine[rows, links.items], links.weights, atol=1e-6)


def test_texts_are_linked_by_their_cosine_to_the_eighth_and_not_to_themselves() -> None:
    vectors = RNG.normal(size=(NUM_ITEMS, 5))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    links = text_links(vectors, num_links=NUM_ITEMS)

    cosine = np.maximum(vectors.astype(float) @ vectors.T.astype(float), 0.0) ** 8
    np.fill_diagonal(cosine, 0.0)
    np.testing.assert_allclose(dense(links), cosine, atol=1e-6)
