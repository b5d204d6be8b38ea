from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from models.channels import neighbours as module
from models.channels.neighbours import Neighbours, NeighbourTables
from models.event_log import EventLog
from tests.models.logs import DAY, NOW, decayed, met, random_log

HALF_LIFE, RECENT = 30.0, 25.0


def fit(log: EventLog, now: int = NOW) -> NeighbourTables:
    return NeighbourTables.fit(log, now, half_life_days=HALF_LIFE, recent_days=RECENT)


def by_cosine(
    log: EventLog, history: np.ndarray[Any, Any], user: int | None, num_neighbours: int
) -> np.ndarray[Any, Any]:
    """Scores of the catalogue for one history, user by user."""
    recent = met(log.between(NOW - int(RECENT * DAY), NOW))
    past = np.log(1 + 3 * decayed(log.between(None, NOW), NOW, HALF_LIFE))
    cosines = {
        other: history @ past[other] / max(np.linalg.norm(history) * np.linalg.norm(past[other]), 1e-12)
        for other in range(log.num_users)
        if recent[other].any()
    }
    if user in cosines:
        cosines[user] = 0.0
    best = sorted(cosines, key=lambda other: -cosines[other])[:num_neighbours]
    return sum((cosines[other] * recent[other] for other in best), start=np.zeros(log.num_items))


def ask(
    tables: NeighbourTables, histories: np.ndarray[Any, Any], positions: list[int]
) -> np.ndarray[Any, Any]:
    """Scores for dense float ``[batch, num_items]`` histories."""
    batch, num_items = histories.shape
    rows = np.where(histories > 0, np.arange(num_items), -1).astype(np.int32)
    scores = Neighbours(tables, num_items)(
        tf.constant(rows), tf.constant(histories.astype(np.float32)), tf.constant(positions, tf.int32)
    )
    assert scores.shape == (batch, num_items)
    return scores.numpy()


def test_scores_are_the_cosines_of_those_who_chose_an_item_lately() -> None:
    log = random_log(num_users=30, num_events=200)
    tables = fit(log)
    histories = np.log(1 + 3 * decayed(log, NOW, HALF_LIFE))
    positions = [
        int(np.flatnonzero(tables.user_rows == user)[0]) if user in tables.user_rows else -1
        for user in range(log.num_users)
    ]
    assert -1 in positions

    scores = ask(tables, histories, positions)

    for user in range(log.num_users):
        expected = by_cosine(log, histories[user], user, 150)
        np.testing.assert_allclose(scores[user], expected, atol=1e-5)


def test_only_the_nearest_count(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_NUM_NEIGHBOURS", 3)
    log = random_log(num_users=30, num_events=200)
    histories = np.random.default_rng(4).random((2, log.num_items))

    scores = ask(fit(log), histories, [-1, -1])

    for row in (0, 1):
        np.testing.assert_allclose(scores[row], by_cosine(log, histories[row], None, 3), atol=1e-5)


def test_nobody_is_their_own_neighbour() -> None:
    log = EventLog.of(
        user_rows=np.array([0]),
        item_rows=np.array([2]),
        times=np.array([NOW - DAY]),
        num_users=1,
        num_items=4,
    )
    history = np.array([[0.0, 0.0, 1.0, 0.0]])

    assert not ask(fit(log), history, [0]).any()
    np.testing.assert_allclose(ask(fit(log), history, [-1]), history, rtol=1e-6)


def test_without_anybody_lately_nothing_is_said() -> None:
    tables = fit(random_log(), NOW + 400 * DAY)

    assert len(tables.user_rows) == 0
    assert not ask(tables, np.ones((2, 11)), [-1, -1]).any()


def test_somebody_without_a_history_has_no_neighbours() -> None:
    assert not ask(fit(random_log()), np.zeros((2, 11)), [-1, 0]).any()


def test_tables_move_to_the_rows_of_another_catalogue_and_lose_what_is_gone() -> None:
    log = random_log(num_users=20)
    rows = np.array([13, -1, 2, 0, 5, 6, -1, 8, 9, 10, 1])
    history = np.random.default_rng(4).random((1, 14))
    # What is asked in the old rows has nothing of the items that are gone.
    before = np.where(rows >= 0, history[0, rows], 0.0)

    found = ask(fit(log).on_rows(rows, 14), history, [-1])

    # New items are in the history, and its length counts them.
    scale = np.linalg.norm(before) / np.linalg.norm(history)
    expected = ask(fit(log), before[None], [-1])[0] * scale
    stays = rows >= 0
    np.testing.assert_allclose(found[0, rows[stays]], expected[stays], atol=1e-5)
    assert not np.delete(found[0], rows[stays]).any()
