import numpy as np

from components.retrieval_evaluator.baselines.base import Interactions, Queries

LOG = Interactions(
    user_rows=np.array([2, 0, 2, 0, 2], np.int32),
    item_rows=np.array([1, 0, 3, 2, 1], np.int32),
    times=np.array([5, 9, 7, 2, 6], np.int64),
    num_users=3,
    num_items=4,
)


def test_histories_are_most_recent_first_and_in_the_order_asked() -> None:
    queries = Queries.of_users(LOG, np.array([2, 1, 0]))
    assert queries.history_starts.tolist() == [0, 3, 3, 5]
    assert queries.history_items.tolist() == [3, 1, 1, 0, 2]
    assert queries.history_times.tolist() == [7, 6, 5, 9, 2]


def test_a_slice_of_queries_has_its_own_histories() -> None:
    part = Queries.of_users(LOG, np.array([2, 1, 0]))[1:]
    assert part.user_rows.tolist() == [1, 0]
    assert part.history_counts().toarray().tolist() == [[0, 0, 0, 0], [1, 0, 1, 0]]


def test_counting_a_history_leaves_its_order_alone() -> None:
    queries = Queries.of_users(LOG, np.array([2]))
    assert queries.history_counts().toarray().tolist() == [[0, 2, 0, 1]]
    assert queries.history_items.tolist() == [3, 1, 1]


def test_a_window_has_its_start_and_not_its_end() -> None:
    assert sorted(LOG.between(5, 7).times.tolist()) == [5, 6]
