from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.channels import channels as module
from models.channels.channels import Candidates, Channels, first_places, marked
from models.channels.event_store import EventStore, history_at
from models.channels.fit import HISTORY_WEIGHTS, fit_channels
from models.channels.history import NEVER_DAYS, History, Horizon
from models.channels.item_statistics import NAMES
from models.channels.links import history_weights
from models.event_log import DAY_S, EventLog, places_of
from tests.models.logs import NOW, by_user, decayed, random_log

NUM_USERS, NUM_ITEMS = 8, 14
HORIZON = Horizon(window=30.0, half_life=30.0, gap=9.0)
VECTORS = np.random.default_rng(3).normal(size=(NUM_ITEMS, 4)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def log() -> EventLog:
    """The last user has no events."""
    small = random_log(NUM_USERS - 1, NUM_ITEMS, num_events=70)
    return dataclasses.replace(small, num_users=NUM_USERS)


@pytest.fixture(scope="module")
def channels(log: EventLog) -> Channels:
    return Channels(fit_channels(log, NOW, HORIZON, VECTORS), VECTORS)


@pytest.fixture(scope="module")
def positions(log: EventLog) -> Array:
    users = fit_channels(log, NOW, HORIZON, VECTORS).neighbours.user_rows
    return places_of(np.arange(NUM_USERS), users).astype(np.int32)


@pytest.fixture(scope="module")
def history(log: EventLog) -> History:
    return history_of(log, np.arange(NUM_USERS))


def history_of(log: EventLog, users: Array) -> History:
    rows, times, weights = EventStore(log, users)(tf.range(len(users)))
    return history_at(rows, times, weights, tf.fill([len(users)], np.int64(NOW)), HORIZON)


@pytest.fixture(scope="module")
def allowed() -> Array:
    """bool ``[num_users, num_items]``."""
    return np.random.default_rng(8).random((NUM_USERS, NUM_ITEMS)) < 0.8


@pytest.fixture(scope="module")
def num_unseen() -> Array:
    return np.array([0, 1, 3, 9, 5, 2, 40, 6], np.int32)


@pytest.fixture(scope="module")
def found(
    channels: Channels, history: History, positions: Array, allowed: Array, num_unseen: Array
) -> Candidates:
    return channels.candidates(
        history, tf.constant(positions), tf.constant(allowed), num_unseen=tf.constant(num_unseen)
    )


def had(log: EventLog, user: int) -> set[int]:
    return {item for item, _, _ in by_user(log)[user]}


def fused(scores: dict[str, Array], statistics: dict[str, Array], is_open: Array) -> Array:
    """Summed reciprocal ranks for one user: float64 ``[num_items]``, 0 for what is not open."""
    total = np.where(is_open, 1e-9, 0.0)
    for values in (*scores.values(), statistics["users_short"], statistics["new_users"]):
        listed = [item for item in np.argsort(-values, kind="stable") if is_open[item] and values[item] > 0]
        for place, item in enumerate(listed):
            total[item] += 1 / (20 + place)
    return total


def test_variable_of_text_vectors_is_shared(log: EventLog, channels: Channels) -> None:
    variable = tf.Variable(VECTORS, trainable=False)
    sharing = Channels(fit_channels(log, NOW, HORIZON, VECTORS), variable)

    assert any(held is variable for held in sharing.variables)
    assert len(sharing.variables) == len(channels.variables)


def test_scores_of_links_are_those_of_the_dense_matrices(
    log: EventLog, channels: Channels, history: History, positions: Array
) -> None:
    scores = channels.scores(history, tf.constant(positions))

    tables = fit_channels(log, NOW, HORIZON, VECTORS)
    assert tuple(scores) == (*HISTORY_WEIGHTS, "neighbours") == channels.names
    for name, links in tables.links.items():
        dense = np.zeros((NUM_ITEMS, NUM_ITEMS))
        np.add.at(dense, (np.arange(NUM_ITEMS)[:, None], links.items), links.weights)
        weights = np.zeros((NUM_USERS, NUM_ITEMS))
        for user, rows in enumerate(history.rows.numpy()):
            weights[user, rows[rows >= 0]] = history_weights(history, HISTORY_WEIGHTS[name])[user][rows >= 0]
        np.testing.assert_allclose(scores[name], weights @ dense, atol=1e-5, err_msg=name)


def test_seen_come_first_and_then_the_largest_sums_of_reciprocal_ranks(
    log: EventLog,
    channels: Channels,
    history: History,
    positions: Array,
    allowed: Array,
    num_unseen: Array,
    found: Candidates,
) -> None:
    scores = {
        name: values.numpy() for name, values in channels.scores(history, tf.constant(positions)).items()
    }
    everything = tf.range(NUM_ITEMS)[None]
    statistics = {name: channels.statistic(name, everything).numpy()[0] for name in NAMES}
    width = history.rows.shape[1]

    assert found.rows.shape[1] == width + NUM_ITEMS
    for user in range(NUM_USERS):
        seen = [row for row in history.rows[user].numpy().tolist() if row >= 0]
        assert set(seen) == had(log, user)
        assert found.rows[user, : len(seen)].numpy().tolist() == seen
        assert found.is_seen[user].numpy().tolist() == [n < len(seen) for n in range(width + NUM_ITEMS)]
        assert found.is_valid[user, :width].numpy().tolist() == [
            n < len(seen) and bool(allowed[user, seen[n]]) for n in range(width)
        ]

        named = found.rows[user, width:].numpy()[found.is_valid[user, width:].numpy()]
        is_open = allowed[user] & ~np.isin(np.arange(NUM_ITEMS), seen)
        assert len(set(named.tolist())) == len(named) == min(num_unseen[user], is_open.sum())
        assert is_open[named].all()
        total = fused({name: values[user] for name, values in scores.items()}, statistics, is_open)
        # Which of two equal sums comes first is not told.
        np.testing.assert_allclose(total[named], np.sort(total)[::-1][: len(named)], rtol=1e-4)


def test_candidates_of_a_row_do_not_depend_on_the_other_rows(
    log: EventLog,
    channels: Channels,
    positions: Array,
    allowed: Array,
    num_unseen: Array,
    found: Candidates,
    history: History,
) -> None:
    width = history.rows.shape[1]
    for user in range(NUM_USERS):
        alone = channels.candidates(
            history_of(log, np.array([user])),
            tf.constant(positions[[user]]),
            tf.constant(allowed[[user]]),
            num_unseen=tf.constant(num_unseen[[user]]),
        )
        mine = np.flatnonzero(found.is_valid[user])
        own = np.flatnonzero(alone.is_valid[0])
        np.testing.assert_array_equal(found.rows.numpy()[user, mine], alone.rows.numpy()[0, own])
        np.testing.assert_allclose(
            found.features.numpy()[user, mine], alone.features.numpy()[0, own], rtol=1e-3, atol=1e-5
        )
        assert alone.rows.shape[1] <= width + num_unseen[user]


def test_one_mask_for_all_is_the_mask_of_each(
    channels: Channels, history: History, positions: Array, allowed: Array
) -> None:
    number = tf.fill([NUM_USERS], 6)
    one = channels.candidates(history, tf.constant(positions), tf.constant(allowed[:1]), num_unseen=number)
    each = channels.candidates(
        history,
        tf.constant(positions),
        tf.constant(np.tile(allowed[:1], (NUM_USERS, 1))),
        num_unseen=number,
    )

    for name in ("rows", "is_valid", "features"):
        np.testing.assert_array_equal(getattr(one, name), getattr(each, name))


def test_features_are_what_their_names_say(
    log: EventLog, channels: Channels, history: History, positions: Array, found: Candidates
) -> None:
    scores = {
        name: values.numpy() for name, values in channels.scores(history, tf.constant(positions)).items()
    }
    everything = tf.range(NUM_ITEMS)[None]
    width = history.rows.shape[1]
    sums = [decayed(log, NOW, h) for h in HORIZON.half_lives]
    for user in range(NUM_USERS):
        events: dict[int, list[float]] = {}
        for item, time, _ in by_user(log)[user]:
            events.setdefault(item, []).append((NOW - time) / DAY_S)
        num_baskets = len({age for ages in events.values() for age in ages})
        named = found.rows[user, width:].numpy()[found.is_valid[user, width:].numpy()]
        middle = sums[1][user] / max(sums[1][user].sum(), 1e-9)
        for place in np.flatnonzero(found.is_valid[user]):
            item = int(found.rows[user, place])
            ages = events.get(item, [])
            expected: dict[str, float] = {}
            for name, values in scores.items():
                best = max([0.0, *values[user, named].tolist()])
                expected |= {name: values[user, item], f"{name}_share": values[user, item] / max(best, 1e-6)}
            for name in NAMES:
                expected[name] = float(channels.statistic(name, everything)[0, item])
            cosines = {other: float(VECTORS[item] @ VECTORS[other]) for other in events if other != item}
            expected["text_max"] = max(cosines.values(), default=-1.0)
            expected["text_mean"] = sum(cosine * middle[other] for other, cosine in cosines.items())
            expected["user_last_days"] = min((min(a) for a in events.values()), default=NEVER_DAYS)
            expected["user_items"] = len(events)
            expected["count"] = len(ages)
            for name, values in zip(("own_short", "own_middle", "own_long"), sums, strict=True):
                expected[name] = values[user, item]
            expected["share"] = len(ages) / max(num_baskets, 1)
            expected["last_days"] = min(ages, default=NEVER_DAYS)
            gap = (max(ages) - min(ages)) / (len(ages) - 1) if len(ages) > 1 else 0.0
            expected["due"] = min(ages) / (gap + HORIZON.window / 6) if len(ages) > 1 else -1.0

            assert set(expected) == set(channels.feature_names)
            for column, name in enumerate(channels.feature_names):
                np.testing.assert_allclose(
                    found.features[user, place, column], expected[name], rtol=2e-3, atol=1e-4, err_msg=name
                )


def test_features_of_the_callers_items_are_those_of_candidates(
    channels: Channels,
    history: History,
    positions: Array,
    allowed: Array,
    num_unseen: Array,
    found: Candidates,
) -> None:
    features = channels.of_items(
        found.rows, history, tf.constant(positions), tf.constant(allowed), num_unseen=tf.constant(num_unseen)
    )

    np.testing.assert_allclose(features, found.features, rtol=1e-5, atol=1e-6)


def test_what_the_history_said_sums_to_the_channels_shares(
    channels: Channels, history: History, positions: Array
) -> None:
    rows = np.array([np.random.default_rng(user).permutation(NUM_ITEMS)[:6] for user in range(NUM_USERS)])
    rows[2, 4:] = -1
    scores = channels.scores(history, tf.constant(positions))

    said = channels.said_by_history(tf.constant(rows, tf.int32), history, scores, tf.constant(rows, tf.int32))

    assert said.shape == (NUM_USERS, 6, history.rows.shape[1])
    for user, items in enumerate(rows):
        items = items[items >= 0]
        expected = np.zeros(len(items))
        for name in HISTORY_WEIGHTS:
            here = scores[name].numpy()[user, items]
            expected += here / max(here.max(), 1e-6)
        np.testing.assert_allclose(
            said.numpy()[user, : len(items)].sum(axis=1), expected, rtol=1e-3, atol=1e-4
        )
        # Padding of the history says nothing.
        assert not said.numpy()[user][:, history.rows[user].numpy() < 0].any()


def test_what_one_item_says_is_what_the_score_loses_without_it(
    log: EventLog, channels: Channels, history: History, positions: Array
) -> None:
    """In the channels whose weights do not hang together; a normed one shares its norm among all items."""
    names = [name for name, kind in HISTORY_WEIGHTS.items() if kind != "normed"]
    scores = channels.scores(history, tf.constant(positions))
    rows = tf.tile(tf.range(NUM_ITEMS)[None], [NUM_USERS, 1])
    for user in range(NUM_USERS - 1):
        speaker = int(history.rows[user, 1])
        gone = (log.user_rows == user) & (log.item_rows == speaker)
        kept = {
            field.name: getattr(log, field.name)[~gone]
            for field in dataclasses.fields(log)
            if isinstance(getattr(log, field.name), np.ndarray)
        }
        without = channels.scores(
            history_of(dataclasses.replace(log, **kept), np.array([user])), tf.constant(positions[[user]])
        )
        for name in names:
            counts = history_weights(history, HISTORY_WEIGHTS[name])
            said = channels.said_by(name, rows, history.rows, counts)
            np.testing.assert_allclose(
                scores[name][user] - without[name][0], said[user, :, 1], atol=1e-5, err_msg=name
            )


def test_seen_items_have_a_limit(
    monkeypatch: pytest.MonkeyPatch, channels: Channels, history: History, positions: Array
) -> None:
    monkeypatch.setattr(module, "MAX_SEEN", 2)
    found = channels.candidates(
        history,
        tf.constant(positions),
        tf.ones([1, NUM_ITEMS], tf.bool),
        num_unseen=tf.fill([NUM_USERS], NUM_ITEMS),
    )

    assert found.is_seen.numpy().sum(axis=1).tolist() == [2] * (NUM_USERS - 1) + [0]
    assert found.features.shape[1] == 2 + NUM_ITEMS


def test_marked_and_first_places_pass_over_padding() -> None:
    rows = np.array([[2, -1, 0, 2], [-1, -1, -1, -1], [3, 1, 1, -1]], np.int32)

    none = np.iinfo(np.int32).max
    assert marked(tf.constant(rows), 4).numpy().tolist() == [
        [item in row for item in range(4)] for row in rows.tolist()
    ]
    assert first_places(tf.constant(rows), 4).numpy().tolist() == [
        [row.index(item) if item in row else none for item in range(4)] for row in rows.tolist()
    ]
