from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.channels.event_store import MAX_EVENTS, MAX_ITEMS, EventStore, history_at
from models.channels.history import NEVER_DAYS, History, Horizon, history_of_events
from models.event_log import DAY_S, EventLog
from tests.models.logs import DAY, NOW, by_user, random_log

HORIZON = Horizon(window=30.0, half_life=40.0, gap=10.0)
Summed = dict[int, dict[str, Any]]


def sums_by_item(events: list[tuple[int, float, float]], horizon: Horizon = HORIZON) -> Summed:
    """What a history says of each item, from events of item, age in days and weight, one at a time."""
    found: Summed = {}
    for item, age, weight in events:
        said = found.setdefault(item, {"count": 0, "decayed": np.zeros(3), "last": age, "first": age})
        said["count"] += 1
        said["decayed"] += [weight * 0.5 ** (age / h) for h in horizon.half_lives]
        said["last"], said["first"] = min(said["last"], age), max(said["first"], age)
    return found


def assert_is(history: History, row: int, events: list[tuple[int, float, float]]) -> None:
    expected = sums_by_item(events)
    rows = history.rows[row].numpy()
    num_items = (rows >= 0).sum()
    assert set(rows[:num_items].tolist()) == set(expected)
    assert len(set(rows[:num_items].tolist())) == num_items
    assert (rows[num_items:] == -1).all()
    for place, item in enumerate(rows[:num_items].tolist()):
        said = expected[item]
        assert history.counts[row, place] == said["count"]
        np.testing.assert_allclose(history.decayed[:, row, place], said["decayed"], rtol=1e-4)
        np.testing.assert_allclose(history.last_days[row, place], said["last"], rtol=1e-5)
        np.testing.assert_allclose(history.first_days[row, place], said["first"], rtol=1e-5)
    assert (np.diff(history.decayed[1, row]) <= 1e-6).all()
    assert history.num_items[row] == len(expected)
    assert history.num_baskets[row] == len({age for _, age, _ in events})
    assert not history.counts[row, num_items:].numpy().any()
    assert not history.decayed[:, row, num_items:].numpy().any()
    assert (history.last_days[row, num_items:].numpy() == NEVER_DAYS).all()


def padded(rows: list[list[tuple[int, float, float]]]) -> list[tf.Tensor]:
    """Items, ages and weights, with padding between them too."""
    width = max(len(row) for row in rows) + 2
    filled = [[(-1, 3.0, 9.0), *row, *[(-1, 0.0, 1.0)] * (width - len(row) - 1)] for row in rows]
    columns = np.array(filled, object).transpose(2, 0, 1)
    return [
        tf.constant(c.astype(t)) for c, t in zip(columns, (np.int32, np.float32, np.float32), strict=True)
    ]


def random_events(rng: np.random.Generator, number: int) -> list[tuple[int, float, float]]:
    return [
        (int(rng.integers(0, 8)), float(rng.integers(0, 50)), float(rng.choice([0.25, 1.0])))
        for _ in range(number)
    ]


def test_history_is_the_sum_of_its_events_by_item() -> None:
    rng = np.random.default_rng(0)
    batch = [random_events(rng, number) for number in (20, 0, 1, 7, 40)]

    history = history_of_events(*padded(batch), horizon=HORIZON, max_items=100)

    for row, events in enumerate(batch):
        assert_is(history, row, events)


def test_history_of_a_row_does_not_depend_on_the_other_rows() -> None:
    rng = np.random.default_rng(1)
    batch = [random_events(rng, number) for number in (3, 50, 12)]
    together = history_of_events(*padded(batch), horizon=HORIZON, max_items=100)

    for row, events in enumerate(batch):
        alone = history_of_events(*padded([events]), horizon=HORIZON, max_items=100)
        width = alone.rows.shape[1]
        np.testing.assert_array_equal(together.rows[row, :width], alone.rows[0])
        np.testing.assert_allclose(together.decayed[:, row, :width], alone.decayed[:, 0], rtol=1e-5)
        assert (together.rows[row, width:].numpy() == -1).all()


def test_items_of_largest_weight_are_kept_and_all_are_counted() -> None:
    items = np.arange(20)
    ages = np.random.default_rng(2).permutation(20).astype(np.float32)

    history = history_of_events(
        tf.constant(items[None], tf.int32),
        tf.constant(ages[None]),
        tf.ones([1, 20]),
        horizon=HORIZON,
        max_items=6,
    )

    np.testing.assert_array_equal(history.rows[0], np.argsort(ages)[:6])
    assert history.num_items.numpy().tolist() == [20.0]
    assert history.num_baskets.numpy().tolist() == [20.0]


@pytest.mark.parametrize("width", [0, 3])
def test_history_of_nothing_is_one_column_of_padding(width: int) -> None:
    nothing = tf.fill([2, width], -1), tf.zeros([2, width]), tf.zeros([2, width])

    history = history_of_events(*nothing, horizon=HORIZON, max_items=5)

    assert history.rows.numpy().tolist() == [[-1], [-1]]
    assert history.num_items.numpy().tolist() == history.num_baskets.numpy().tolist() == [0, 0]


def test_event_after_the_moment_counts_as_just_now() -> None:
    rows, weights = tf.constant([[3, 4]]), tf.ones([1, 2])
    now = tf.constant([NOW], tf.int64)

    future = history_at(rows, tf.constant([[NOW + 9 * DAY, NOW - DAY]], tf.int64), weights, now, HORIZON)
    just_now = history_at(rows, tf.constant([[NOW, NOW - DAY]], tf.int64), weights, now, HORIZON)

    for name in ("rows", "decayed", "last_days", "num_baskets"):
        np.testing.assert_array_equal(getattr(future, name), getattr(just_now, name))
    assert future.last_days[0, 0] == 0.0


def test_store_gives_each_user_their_own_events() -> None:
    log = random_log(num_users=6)
    # The servable's order of users is another than the log's, and one of them is not in it.
    users = np.array([4, -1, 0, 5])
    store = EventStore(log, users)
    position = tf.constant([2, 0, 1, -1, 3], tf.int32)

    history = history_at(*store(position), tf.fill([5], np.int64(NOW)), HORIZON)

    own = by_user(log)
    for row, user in enumerate([0, 4, None, None, 5]):
        events = [] if user is None else own[user]
        assert_is(history, row, [(item, (NOW - time) / DAY_S, weight) for item, time, weight in events])
    assert store.newest == log.times.max()
    assert store.mean_weight == pytest.approx(log.weights.mean())


def test_store_keeps_the_latest_events_and_a_history_the_weightiest_items() -> None:
    number = MAX_EVENTS + 40
    log = EventLog.of(
        user_rows=np.zeros(number, int),
        item_rows=np.arange(number),
        times=NOW - DAY * np.arange(number, 0, -1),
        num_users=1,
        num_items=number,
    )

    rows, times, weights = EventStore(log, np.array([0]))(tf.constant([0]))
    history = history_at(rows, times, weights, tf.constant([NOW], tf.int64), HORIZON)

    assert rows.numpy().tolist() == [list(range(40, number))]
    assert history.rows.numpy().tolist() == [list(range(number - 1, number - 1 - MAX_ITEMS, -1))]


def test_store_without_events_gives_nobody_anything() -> None:
    empty = random_log().between(NOW, None)
    store = EventStore(empty, np.array([0, -1]))

    rows, _, weights = store(tf.constant([0, 1, -1]))

    assert (rows.numpy() == -1).all()
    assert not weights.numpy().any()
    assert (store.newest, store.mean_weight) == (0, 1.0)


def test_half_life_is_the_gap_between_baskets_but_not_below_the_window() -> None:
    log = random_log()

    assert Horizon.of(log, 500.0).half_life == 500.0
    assert Horizon.of(log, 0.5).half_life == log.typical_gap_days()
    baskets = {(user, time) for user, events in by_user(log).items() for _, time, _ in events}
    assert Horizon.of(log, 1.0).basket_size == pytest.approx(len(log) / len(baskets))
