from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from serving.servable.histories import RequestHistory, UserTable
from tests import tiny

MAX_HISTORY = 3


@pytest.fixture(scope="module")
def request_history() -> RequestHistory:
    rows = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b", "c", "d"]), tf.range(4))
    return RequestHistory(tf.lookup.StaticHashTable(rows, -1), max_history=MAX_HISTORY)


@pytest.mark.parametrize(
    ("sent", "rows", "counts"),
    [
        ([], [-1, -1, -1], [0, 0, 0]),
        (["", ""], [-1, -1, -1], [0, 0, 0]),
        (["c"], [2, -1, -1], [1, 0, 0]),
        (["c", "a", "c", "c"], [2, 0, -1], [3, 1, 0]),
        (["", "?", "b", "!", "a", "b"], [1, 0, -1], [2, 1, 0]),
        (["d", "c", "b", "a", "d", "a"], [3, 2, 1], [2, 1, 1]),
    ],
)
def test_items_are_distinct_counted_and_recent_first(
    request_history: RequestHistory, sent: list[str], rows: list[int], counts: list[int]
) -> None:
    found_rows, found_counts = request_history(tf.constant([sent], tf.string, (1, len(sent))))

    assert found_rows.numpy().tolist() == [rows]
    assert found_counts.numpy().tolist() == [counts]


def test_random_histories_equal_a_dictionary(request_history: RequestHistory) -> None:
    rng = np.random.default_rng(0)
    sent = rng.choice(["a", "b", "c", "d", "?", ""], (50, 9))
    rows, counts = request_history(tf.constant(sent))

    for i, history in enumerate(sent):
        expected: dict[int, int] = {}
        for item in history:
            if item in "abcd" and item:
                expected["abcd".index(item)] = expected.get("abcd".index(item), 0) + 1
        kept = list(expected.items())[:MAX_HISTORY] + [(-1, 0)] * (MAX_HISTORY - len(expected))
        assert list(zip(rows.numpy()[i], counts.numpy()[i], strict=True)) == kept


@pytest.fixture(scope="module")
def users() -> UserTable:
    return tiny.make_users()


def test_known_users_are_looked_up(users: UserTable) -> None:
    found = users.lookup(tf.constant(["bob", "ann"]))

    assert found.position.numpy().tolist() == [1, 0]
    assert found.history_rows.numpy().tolist() == [[2, 9, -1, -1], [0, 3, 4, 10]]
    assert found.history_counts.numpy().tolist() == [[1, 1, 0, 0], [2, 1, 1, 3]]
    assert found.user_row.numpy().tolist() == [1, 0]
    assert found.categories.numpy().tolist() == [[1], [0]]
    assert found.numbers.numpy().tolist() == [[-1.0, 0.0], [0.5, 0.0]]


@pytest.mark.parametrize("user_id", ["", "nobody", "\x00"])
def test_of_unknown_users_nothing_is_known(users: UserTable, user_id: str) -> None:
    found = users.lookup(tf.constant([user_id]))

    assert found.position.numpy().tolist() == [-1]
    assert found.history_rows.numpy().tolist() == [[-1] * 4]
    assert not found.history_counts.numpy().any()
    assert found.user_row.numpy().tolist() == [tiny.NUM_USERS]
    assert found.categories.numpy().tolist() == [[2]]
    # The number is missing.
    assert found.numbers.numpy().tolist() == [[0.0, 1.0]]
    assert (users.seen(found.position).numpy() == -1).all()


def test_seen_is_the_whole_past(users: UserTable) -> None:
    seen = users.seen(tf.constant([1, -1, 0, 2])).numpy()

    assert [sorted(row[row >= 0].tolist()) for row in seen] == [[2, 9], [], [0, 1, 3, 4, 7, 10], []]


@pytest.mark.parametrize("user_id", ["", "ann", "\x00"])
def test_table_of_nobody_knows_nobody(user_id: str) -> None:
    nobody = UserTable(
        ids=np.zeros(0, object),
        history_rows=np.zeros((0, 2), np.int32),
        history_counts=np.zeros((0, 2), np.float32),
        seen=[],
        user_rows=np.zeros(0, np.int32),
        categories=np.zeros((0, 0), np.int32),
        numbers=np.zeros((0, 0), np.float32),
        unknown_row=0,
        unknown_categories=np.zeros(0, np.int32),
    )
    found = nobody.lookup(tf.constant([user_id]))

    assert found.position.numpy().tolist() == [-1]
    assert found.history_rows.numpy().tolist() == [[-1, -1]]
    assert (nobody.seen(found.position).numpy() == -1).all()


def test_dislikes_are_those_of_known_users(users: UserTable) -> None:
    disliked = users.disliked(tf.constant([0, -1, 3])).numpy()

    assert [row[row >= 0].tolist() for row in disliked] == [[], [], tiny.DISLIKED]
