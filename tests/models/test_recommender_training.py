from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.channels.channels import MAX_SEEN
from models.channels.event_store import EventStore, history_at
from models.channels.history import Horizon
from models.config import TrainConfig
from models.event_log import EventLog
from models.heads import Heads
from models.list_ranker import LOGIT
from models.recommender import Recommender
from models.recommender_training import fit_recommender, window_lists
from tests.models.channels.test_fit import assert_same_bits
from tests.models.logs import DAY, NOW, random_log

HEADS = Heads(kinds=("event",))
TRAIN = TrainConfig(recommender_epochs=12, recommender_users=200, seed=3)
WINDOW = 30
NUM_USERS, NUM_ITEMS = 60, 20


def text_vectors(num_items: int = NUM_ITEMS) -> np.ndarray[Any, Any]:
    vectors = np.random.default_rng(3).normal(size=(num_items, 6)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def planted_log() -> EventLog:
    """Each user buys their own item every thirty days, and on the tenth day after it the item that follows.

    Two items beside are bought by chance, and often: popularity and habit say different things.
    """
    rng = np.random.default_rng(0)
    rows = []
    for user in range(NUM_USERS):
        own, phase = 2 + 2 * int(rng.integers(0, 9)), int(rng.integers(0, 20))
        for period in range(9):
            start = NOW - DAY * (270 - 30 * period - phase)
            # Half begin one period later, so that what follows is new to some.
            if period >= user % 8:
                rows += [(user, own, start), (user, own + 1, start + 10 * DAY)]
            rows += [(user, int(rng.integers(0, 2)), start + int(rng.integers(0, 9)) * DAY)]
    users, items, times = np.array(rows).T
    return EventLog.of(
        user_rows=users, item_rows=items, times=times, num_users=NUM_USERS, num_items=NUM_ITEMS
    )


def fit(log: EventLog, train: TrainConfig = TRAIN) -> tuple[Recommender | None, list[dict[str, Any]]]:
    """Validation and the test window are the last two months."""
    return fit_recommender(
        log,
        np.array([f"user-{n:03d}".encode() for n in range(log.num_users)], object),
        starts=(NOW - 2 * WINDOW * DAY, NOW - WINDOW * DAY),
        text_vectors=text_vectors(log.num_items),
        heads=HEADS,
        train=train,
    )


@pytest.fixture(scope="module")
def planted() -> tuple[EventLog, Recommender, list[dict[str, Any]]]:
    log = planted_log()
    recommender, curves = fit(log)
    assert recommender is not None
    return log, recommender, curves


def reciprocal_rank(order: np.ndarray[Any, Any], relevant: set[int]) -> float:
    return next((1 / (1 + place) for place, item in enumerate(order.tolist()) if item in relevant), 0.0)


@pytest.mark.slow
def test_what_was_learnt_orders_better_than_popularity(
    planted: tuple[EventLog, Recommender, list[dict[str, Any]]],
) -> None:
    log, recommender, curves = planted
    now = NOW - WINDOW * DAY
    past, window = log.between(None, now), log.between(now, None)
    stored = EventStore(past, np.arange(NUM_USERS))(tf.range(NUM_USERS))
    history = history_at(*stored, tf.fill([NUM_USERS], np.int64(now)), recommender.tables.horizon)
    found = recommender.channels(text_vectors()).candidates(
        history,
        tf.constant(recommender.neighbour_positions(recommender.user_ids)),
        tf.ones([1, NUM_ITEMS], tf.bool),
        num_unseen=tf.fill([NUM_USERS], NUM_ITEMS),
    )
    said = recommender.ranker(found.features)
    scores = np.where(found.is_valid, said[LOGIT], -np.inf)
    popular = np.argsort(-np.bincount(past.item_rows, minlength=NUM_ITEMS), kind="stable")

    ours, theirs = [], []
    for user in range(NUM_USERS):
        chosen = set(window.item_rows[window.user_rows == user].tolist())
        # Chance cannot be learnt.
        relevant = chosen - {0, 1}
        if relevant:
            order = found.rows.numpy()[user][np.argsort(-scores[user], kind="stable")]
            ours.append(reciprocal_rank(order[~np.isin(order, [0, 1])], relevant))
            theirs.append(reciprocal_rank(popular[~np.isin(popular, [0, 1])], relevant))
    assert len(ours) > 40
    assert np.mean(ours) > 0.9
    assert np.mean(theirs) < 0.5
    losses = [loss for _, loss in curves[0]["points"]]
    assert len(losses) == TRAIN.recommender_epochs
    assert losses[-1] < 0.8 * losses[0]
    probabilities = said["event"].numpy()[found.is_valid.numpy()]
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@pytest.mark.slow
def test_one_seed_fits_one_recommender_whatever_happens_in_the_test_window(
    planted: tuple[EventLog, Recommender, list[dict[str, Any]]],
) -> None:
    log, recommender, curves = planted
    end = NOW - WINDOW * DAY

    again, curves_again = fit(log.between(None, end))

    assert again is not None
    assert recommender.tables.now == again.tables.now == end
    assert_same_bits(recommender.tables, again.tables)
    # Threads sum in any order here; a run of the pipeline has them in one.
    for one, other in zip(recommender.ranker.weights, again.ranker.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-2, err_msg=one.path)
    for one, other in zip(curves, curves_again, strict=True):
        np.testing.assert_allclose(one["points"], other["points"], rtol=1e-3)


@pytest.mark.slow
def test_without_refit_the_validation_window_is_not_looked_at() -> None:
    train = dataclasses.replace(TRAIN, recommender_epochs=1, refit=False)
    log = random_log(num_users=12, num_events=200, days=300)
    end = NOW - 2 * WINDOW * DAY

    recommender, _ = fit(log, train)
    again, _ = fit(log.between(None, end), train)

    assert recommender is not None
    assert again is not None
    assert recommender.tables.now == end
    assert_same_bits(recommender.tables, again.tables)
    for one, other in zip(recommender.ranker.weights, again.ranker.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    "log",
    [
        random_log().between(NOW, None),
        # Everything happened in one month, so nobody came back.
        dataclasses.replace(random_log(days=20), times=random_log(days=20).times - 40 * DAY),
    ],
    ids=["no events", "one month"],
)
def test_without_anybody_who_came_back_there_is_no_recommender(log: EventLog) -> None:
    assert fit(log) == (None, [])


@pytest.mark.slow
def test_labels_of_a_window_are_what_became_of_each_candidate() -> None:
    heads = Heads(kinds=("click", "buy"), has_rating=True)
    log = random_log(num_users=10, num_items=12, num_events=260)
    ratings = np.random.default_rng(1).integers(1, 6, len(log)).astype(np.float32)
    log = dataclasses.replace(log, values=np.where(np.arange(len(log)) % 3 == 0, ratings, np.nan))
    start = NOW - WINDOW * DAY
    horizon = Horizon(window=float(WINDOW), half_life=30.0, gap=10.0)

    lists = window_lists(log, start, NOW, horizon, text_vectors(12), heads, TrainConfig())

    assert lists is not None
    past, window = log.between(None, start), log.between(start, NOW)
    users = sorted(set(past.user_rows.tolist()) & set(window.user_rows.tolist()))
    # One of eight is asked again as a stranger.
    assert len(lists) == len(users) + len(users) // 8
    count = lists.features.shape[2]
    assert lists.features.shape[:2] == lists.is_valid.shape == lists.is_seen.shape
    assert lists.features.shape[1] <= MAX_SEEN + 12
    for row, user in enumerate(users):
        bought = [
            (int(i), int(k), float(v))
            for u, i, k, v in zip(
                window.user_rows, window.item_rows, window.kinds, window.values, strict=True
            )
            if u == user
        ]
        valid = lists.is_valid[row]
        # What they had and what they had not, together the whole catalogue.
        assert valid.sum() == 12
        assert lists.is_seen[row].sum() == len(set(past.item_rows[past.user_rows == user].tolist()))
        assert lists.labels["click"][row][valid].sum() == len({i for i, _, _ in bought})
        assert lists.labels["buy"][row][valid].sum() == len({i for i, k, _ in bought if k == 1})
        rated = {i: [v for j, _, v in bought if j == i and np.isfinite(v)] for i, _, _ in bought}
        expected = sorted(np.mean(values) for values in rated.values() if values)
        found = lists.labels["rating"][row][valid]
        np.testing.assert_allclose(np.sort(found[np.isfinite(found)]), expected, rtol=1e-5)
    assert not lists.is_seen[len(users) :].any()
    assert count == lists.features[0].shape[1]


def test_users_of_a_window_have_a_limit() -> None:
    log = random_log(num_users=30, num_events=600)
    horizon = Horizon(window=float(WINDOW), half_life=30.0, gap=10.0)

    lists = window_lists(
        log, NOW - WINDOW * DAY, NOW, horizon, text_vectors(11), HEADS, TrainConfig(recommender_users=5)
    )

    assert lists is not None
    assert len(lists) == 5


def test_sessions_of_a_window_are_asked_for_their_last_moment() -> None:
    """Nobody of the window was there before it, so that there is nothing to learn from but the sessions."""
    times = np.tile(NOW - DAY * np.repeat(np.arange(30, 0, -1), 3), 1) + np.tile([0, 60, 120], 30)
    rows = np.repeat(np.arange(30), 3)
    items = (rows + np.tile([0, 1, 2], 30)) % 11
    log = EventLog.of(user_rows=rows, item_rows=items, times=times, sessions=rows, num_users=30, num_items=11)
    horizon = Horizon(window=float(WINDOW), half_life=30.0, gap=10.0)
    start = NOW - 5 * DAY

    assert window_lists(log, start, NOW, horizon, text_vectors(11), HEADS, TrainConfig()) is None
    lists = window_lists(
        log, start, NOW, horizon, text_vectors(11), HEADS, TrainConfig(), within_sessions=True
    )

    assert lists is not None
    (label,) = lists.labels.values()
    assert len(lists) == 5
    # Of three items the first two are the history, and the third is chosen.
    assert lists.is_seen.sum(axis=1).tolist() == [2] * 5
    assert (label * lists.is_valid).sum(axis=1).tolist() == [1.0] * 5
    assert not (label * lists.is_seen).any()
