"""Boosts, diversity, slots for new items and pins, against slow formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.servable import arrangement
from serving.servable.arrangement import (
    MAX_DIVERSE,
    Listed,
    boosted,
    diversified,
    pinned,
    slots_of,
    with_new_items,
)

Array = np.ndarray[Any, Any]

NUM_ITEMS = 90


def make_listed(*, num: int = 70, batch: int = 3, seed: int = 0) -> Listed:
    """Random lists, of which the first row is full, the second is shorter and the last is empty."""
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(NUM_ITEMS)[:num] for _ in range(batch)]).astype(np.int32)
    scores = -np.sort(-rng.normal(size=(batch, num)), axis=1).astype(np.float32)
    lengths = np.array([num, num // 2, 0])[:batch]
    return Listed.of(tf.constant(rows), tf.constant(scores), tf.constant(np.arange(num) < lengths[:, None]))


def valid(listed: Listed, row: int) -> tuple[list[int], Array]:
    """The items of a row and their scores; they come before what is not valid."""
    is_valid = listed.is_valid.numpy()[row]
    assert (np.diff(is_valid.astype(int)) <= 0).all()
    items = listed.rows.numpy()[row][is_valid].tolist()
    scores = listed.scores.numpy()[row][is_valid]
    assert len(set(items)) == len(items)
    assert (np.diff(scores) <= 0).all()
    return items, scores


def maximal_marginal_relevance(
    items: list[int], scores: Array, vectors: Array, share: float
) -> tuple[list[int], list[float]]:
    """As it is written in the paper, one place after the other; ``vectors`` by item."""
    span = scores.max() - scores.min()
    relevance = dict(zip(items, (scores - scores.min()) / span, strict=True))
    chosen: list[int] = []
    values: list[float] = []
    while len(chosen) < min(MAX_DIVERSE, len(items)):
        best, best_value = -1, -np.inf
        for item in items:
            if item not in chosen:
                likeness = max([0.0, *(float(vectors[item] @ vectors[other]) for other in chosen)])
                value = (1 - share) * relevance[item] - share * likeness
                if value > best_value + 1e-7:
                    best, best_value = item, value
        chosen.append(best)
        values.append(best_value)
    rest = [item for item in items if item not in chosen]
    return chosen + rest, values + [(1 - share) * relevance[item] - share for item in rest]


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_diversity_is_maximal_marginal_relevance(share: float) -> None:
    listed = make_listed()
    vectors = np.random.default_rng(1).normal(size=(NUM_ITEMS, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    changed = diversified(listed, tf.gather(vectors, listed.rows), tf.fill([3], share))

    for row in (0, 1):
        items, values = maximal_marginal_relevance(*valid(listed, row), vectors, share)
        found, scores = valid(changed, row)
        assert found == items
        np.testing.assert_allclose(scores, values, atol=1e-5)
    assert valid(changed, 2)[0] == []


def test_row_that_asks_for_no_diversity_stays_as_it_is() -> None:
    listed = make_listed()
    vectors = tf.nn.l2_normalize(tf.random.stateless_normal([3, 70, 4], [1, 2]), axis=-1)

    changed = diversified(listed, vectors, tf.constant([0.0, 0.4, float("nan")]))

    assert valid(changed, 1)[0] != valid(listed, 1)[0]
    for mine, theirs in zip(changed, listed, strict=True):
        np.testing.assert_array_equal(mine[::2], theirs[::2])


def test_diversity_above_one_is_one_and_equal_scores_keep_their_order() -> None:
    listed = make_listed()._replace(scores=tf.zeros([3, 70]))
    same = tf.ones([3, 70, 1])

    changed = diversified(listed, same, tf.constant([7.0, 0.5, 1.0]))

    for row in range(3):
        assert valid(changed, row)[0] == valid(listed, row)[0]


@pytest.mark.parametrize("is_logit", [True, False])
def test_boost_adds_to_a_logit_and_multiplies_what_is_none(is_logit: bool) -> None:
    listed = make_listed()
    factors = np.random.default_rng(2).choice([0.25, 1.0, 3.0], size=(3, 70)).astype(np.float32)

    changed = boosted(listed, tf.math.log(factors), is_logit=is_logit)

    for row in range(3):
        items, scores = valid(listed, row)
        own = factors[row, : len(items)]
        lifted = scores + np.log(own) if is_logit else np.where(scores > 0, scores * own, scores / own)
        order = np.argsort(-lifted, kind="stable")
        found, scores = valid(changed, row)
        np.testing.assert_allclose(scores, lifted[order], rtol=1e-5)
        assert found == [items[place] for place in order]


def test_pins_come_first_and_once() -> None:
    listed = make_listed()
    first, shorter = valid(listed, 0)[0], valid(listed, 1)[0]
    stranger = next(item for item in range(NUM_ITEMS) if item not in first)
    pins = [[first[3], -1, stranger, first[3]], [-1, -1, shorter[0], first[0]], [5, 5, 4, -1]]

    changed = pinned(listed, tf.constant(pins), NUM_ITEMS)

    items, scores = valid(changed, 0)
    assert items == [first[3], stranger, *(item for item in first if item != first[3])]
    assert (np.diff(scores)[:2] < 0).all()
    assert changed.sources.numpy()[0, :3].tolist() == [3, -1, 0]
    assert valid(changed, 1)[0][0] == shorter[0]
    assert valid(changed, 2)[0] == [5, 4]
    assert changed.num_pinned.numpy().tolist() == [2, 2, 2]


def test_pins_are_above_scores_so_high_that_one_more_is_lost_in_rounding() -> None:
    listed = make_listed()._replace(scores=tf.fill([3, 70], 4e9))

    scores = pinned(listed, tf.constant([[1, 2]] * 3), NUM_ITEMS).scores.numpy()

    assert (scores[:2, 0] > scores[:2, 1]).all()
    assert (scores[:2, 1] > scores[:2, 2]).all()


@pytest.mark.parametrize(
    ("share", "first"),
    [(0.05, [20, 40, 60]), (0.5, [2, 4, 6]), (0.3, [4, 7, 10]), (0.0, []), (0.001, [1000])],
)
def test_slots_are_a_share_of_all(share: float, first: list[int]) -> None:
    slots = slots_of(share) + 1

    assert slots[:3].tolist() == first
    assert len(slots) == round(share * arrangement.MAX_RESULTS)
    assert (np.diff(slots) >= 2).all()


@pytest.mark.parametrize("num_pinned", [0, 1, 6])
def test_new_items_stand_in_their_slots_behind_the_pins(num_pinned: int) -> None:
    listed = make_listed(num=12)._replace(num_pinned=tf.constant([num_pinned, 0, 0]))
    slots = slots_of(1 / 3)[:5]
    new = np.arange(100, 105)
    is_valid = np.arange(5) < np.array([5, 1, 5])[:, None]

    changed = with_new_items(
        listed, tf.constant(np.tile(new, (3, 1)), tf.int32), tf.constant(is_valid), tf.constant(slots)
    )

    items, scores = valid(changed, 0)
    expected, number = [], 0
    for place, item in enumerate(valid(listed, 0)[0], start=1):
        expected.append(item)
        # One is due whenever the next slot has come, but none before the pins are through.
        while number < 5 and place >= num_pinned and len(expected) >= slots[number]:
            expected.append(int(new[number]))
            number += 1
            if place > num_pinned:
                break
    assert items == expected
    for place, item in enumerate(items):
        if item >= 100:
            assert scores[place] == scores[place - 1]
    # A list of six has two slots, and there was one new item; an empty list has none.
    assert valid(changed, 1)[0] == [*valid(listed, 1)[0][:2], 100, *valid(listed, 1)[0][2:]]
    assert valid(changed, 2)[0] == []
