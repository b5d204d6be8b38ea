"""Popularity, repeat, item-kNN and EASE against slow formulas."""

import numpy as np
import pytest

from components.retrieval_evaluator.baselines.base import Array, Interactions, Queries
from components.retrieval_evaluator.baselines.ease import Ease
from components.retrieval_evaluator.baselines.item_knn import ItemKnn
from components.retrieval_evaluator.baselines.popular import RecentPopularity
from components.retrieval_evaluator.baselines.repeat import Repeat
from dataset.errors import DataError

WEEK_S = 7 * 24 * 3600


@pytest.fixture(scope="module")
def log() -> Interactions:
    """30 users, 12 items of which the last has no events; 300 events in 20 weeks."""
    rng = np.random.default_rng(0)
    return Interactions(
        user_rows=rng.integers(0, 30, 300).astype(np.int32),
        item_rows=rng.integers(0, 11, 300).astype(np.int32),
        times=rng.integers(0, 20 * WEEK_S, 300),
        num_users=30,
        num_items=12,
    )


@pytest.fixture(scope="module")
def everybody(log: Interactions) -> Queries:
    return Queries.of_users(log, np.arange(30))


def binary(log: Interactions) -> Array:
    had = np.zeros((log.num_users, log.num_items))
    had[log.user_rows, log.item_rows] = 1
    return had


def test_popularity_is_of_the_last_weeks_before_now_and_damped_per_user(
    log: Interactions, everybody: Queries
) -> None:
    now = 15 * WEEK_S
    counts = np.zeros((30, 12))
    for user, item, time in zip(log.user_rows, log.item_rows, log.times, strict=True):
        if 7 * WEEK_S <= time < now:
            counts[user, item] += 1
    expected = (counts**0.75).sum(axis=0)[:11]
    scores = RecentPopularity(weeks=8).fit(log, now=now).score(everybody)
    np.testing.assert_allclose(scores[:, :11], np.tile(expected, (30, 1)), rtol=1e-3)
    assert np.isneginf(scores[:, 11]).all()


def test_items_without_recent_events_are_in_the_order_of_all_time() -> None:
    old = Interactions(
        user_rows=np.zeros(3, np.int32),
        item_rows=np.array([1, 1, 0], np.int32),
        times=np.array([0, 1, 2]),
        num_users=1,
        num_items=2,
    )
    scores = RecentPopularity().fit(old, now=50 * WEEK_S).item_scores
    assert 0 < scores[0] < scores[1] < 1e-3


def test_repeat_orders_by_own_count_then_popularity(log: Interactions, everybody: Queries) -> None:
    popular = RecentPopularity().fit(log, now=20 * WEEK_S).item_scores
    scores = Repeat().fit(popular).score(everybody)
    for user in range(30):
        own = np.bincount(log.item_rows[log.user_rows == user], minlength=12)
        expected = sorted(range(11), key=lambda item: (-own[item], -popular[item]))
        assert np.argsort(-scores[user])[:11].tolist() == expected


@pytest.mark.parametrize("num_neighbours", [3, 50])
def test_item_knn_sums_the_nearest_cosines_of_each_candidate(
    log: Interactions, everybody: Queries, num_neighbours: int
) -> None:
    had = binary(log)
    users = had.sum(axis=0)
    cosine = np.zeros((12, 12))
    for a in range(12):
        for b in range(12):
            if a != b:
                cosine[a, b] = (had[:, a] * had[:, b]).sum() / (np.sqrt(users[a] * users[b]) + 10)
    for candidate in range(12):
        nearest = np.argsort(-cosine[:, candidate])[:num_neighbours]
        cosine[np.setdiff1d(np.arange(12), nearest), candidate] = 0
    scores = ItemKnn(num_neighbours=num_neighbours, shrink=10).fit(log).score(everybody)
    expected = had @ cosine
    np.testing.assert_allclose(scores, np.where(expected > 0, expected, -np.inf), rtol=1e-5)


def test_ease_is_ridge_regression_on_the_other_items(log: Interactions, everybody: Queries) -> None:
    had = binary(log)
    ease = Ease(regularisation=5.0).fit(log)
    for item in range(11):
        others = np.delete(np.arange(12), item)
        gram = had[:, others].T @ had[:, others] + 5.0 * np.eye(11)
        expected = np.linalg.solve(gram, had[:, others].T @ had[:, item])
        np.testing.assert_allclose(ease.weights[others, item], expected, atol=1e-6)
        assert ease.weights[item, item] == 0
    scores = ease.score(everybody)
    np.testing.assert_allclose(scores[:, :11], (had @ ease.weights)[:, :11], atol=1e-5)
    assert np.isneginf(scores[:, 11]).all()


def test_ease_refuses_a_catalogue_that_does_not_fit(log: Interactions) -> None:
    with pytest.raises(DataError, match=r"at most 10 of them\. Got 12"):
        Ease(max_items=10).fit(log)
