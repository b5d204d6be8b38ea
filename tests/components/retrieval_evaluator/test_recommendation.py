from collections.abc import Sequence

import numpy as np
import pytest

from components.retrieval_evaluator.baselines.base import Interactions, Queries
from components.retrieval_evaluator.evaluation import Array, Evaluation, as_listed
from components.retrieval_evaluator.names import ALL, NOVEL
from components.retrieval_evaluator.recommendation import ItemSlices, evaluate_recommendation


def log(rows: Sequence[tuple[int, int, int]], num_users: int = 4, num_items: int = 5) -> Interactions:
    users, items, times = zip(*rows, strict=True)
    return Interactions(
        user_rows=np.array(users, np.int32),
        item_rows=np.array(items, np.int32),
        times=np.array(times, np.int64),
        num_users=num_users,
        num_items=num_items,
    )


# Item 4 has no history; user 3 has none; user 2 does nothing new.
PAST = log([(0, 0, 1), (0, 1, 2), (1, 1, 1), (1, 3, 1), (2, 2, 3)])
FUTURE = log([(0, 0, 10), (0, 2, 10), (0, 2, 11), (0, 4, 12), (1, 2, 10), (2, 2, 10), (3, 1, 10)])


def by_row(queries: Queries) -> Array:
    """Every user's scores fall from item 0 to item 4."""
    return np.tile(np.arange(5.0)[::-1], (len(queries), 1))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate_recommendation(past=PAST, future=FUTURE, systems={"by row": by_row}, chunk_size=2)


def test_users_count_who_have_a_history_and_something_relevant(evaluation: Evaluation) -> None:
    assert evaluation.units[NOVEL].tolist() == [0, 1]
    assert evaluation.units[ALL].tolist() == [0, 1, 2]


def test_items_without_history_are_neither_ranked_nor_relevant(evaluation: Evaluation) -> None:
    # User 0 has items 0 and 2 left of the window's 0, 2 and 4, and all four candidates fit in 20 places.
    assert evaluation.values["by row", ALL, "recall@20"].tolist() == [1.0, 1.0, 1.0]


def test_novel_removes_what_the_user_had(evaluation: Evaluation) -> None:
    # Without items 0 and 1 user 0's first item is 2; without 1 and 3 user 1's first two are 0 and 2.
    assert evaluation.values["by row", NOVEL, "mrr"].tolist() == [1.0, 0.5]
    assert evaluation.values["by row", ALL, "mrr"].tolist() == [1.0, 1 / 3, 1 / 3]


def test_values_do_not_depend_on_the_chunk_size(evaluation: Evaluation) -> None:
    whole = evaluate_recommendation(past=PAST, future=FUTURE, systems={"by row": by_row}, chunk_size=100)
    assert whole.rows == evaluation.rows


def test_coverage_counts_the_candidates_of_all_lists(evaluation: Evaluation) -> None:
    assert evaluation.value("by row", ALL, "coverage@20") == 1.0


def test_head_items_have_half_of_the_events() -> None:
    slices = ItemSlices.of(log([(0, 0, 1)] * 6 + [(1, 1, 1)] * 3 + [(2, 2, 1)] * 3))
    assert slices.head.tolist() == [True, False, False, False, False]
    assert slices.tail.tolist() == [False, True, True, False, False]


def test_slices_measure_only_their_users_and_items() -> None:
    rng = np.random.default_rng(0)
    rows = [(user, int(rng.integers(5)), 1) for user in range(40) for _ in range(2)]
    window = [(user, int(rng.integers(5)), 5) for user in range(40)]
    countries = ["France"] * 25 + ["Norway"] * 12 + ["Malta"] * 3
    result = evaluate_recommendation(
        past=log(rows, 40),
        future=log(window, 40),
        systems={"by row": by_row},
        user_groups={"country": countries},
    )
    sizes = {r.slice: r.num for r in result.rows if r.task == ALL and r.metric == "recall@20"}
    assert sizes["country=France"] == 25
    assert sizes["user=cold"] == 40
    assert "country=Malta" not in sizes
    assert sizes["item=head"] + sizes["item=tail"] == sizes[""]


def test_difference_is_paired() -> None:
    both = evaluate_recommendation(
        past=PAST, future=FUTURE, systems={"a": by_row, "b": lambda queries: -by_row(queries)}
    )
    difference = both.difference("a", "b", ALL, "mrr")
    assert difference is not None
    a, b = both.values["a", ALL, "mrr"], both.values["b", ALL, "mrr"]
    assert difference.value == pytest.approx((a - b).mean())
    assert difference.low <= difference.value <= difference.high


def test_a_listed_baseline_has_no_ties_and_keeps_its_order() -> None:
    scores = np.array([[0.5, 0.7, 0.5, -np.inf]])
    assert as_listed(lambda queries: scores)(Queries.of_texts([""], 4)).tolist() == [
        [-1.0, 0.0, -2.0, -np.inf]
    ]


def test_task_that_nobody_is_measured_by_has_no_rows_and_no_difference() -> None:
    again = log([(user, item, 10) for user, item, _ in zip(*_rows(PAST), strict=True)])
    evaluation = evaluate_recommendation(past=PAST, future=again, systems={"a": by_row, "b": by_row})

    assert {row.task for row in evaluation.rows} == {ALL}
    assert all(np.isfinite(row.value) for row in evaluation.rows)
    assert evaluation.difference("a", "b", NOVEL, "ndcg@10") is None
    assert evaluation.difference("a", "b", ALL, "ndcg@10") is not None


def _rows(part: Interactions) -> tuple[list[int], list[int], list[int]]:
    return part.user_rows.tolist(), part.item_rows.tolist(), part.times.tolist()


def test_histories_of_sessions_reach_into_the_window() -> None:
    """User 3, who has no past, chose item 0 in the window before item 1."""
    histories = log([*zip(*_rows(PAST), strict=True), (3, 0, 9)])
    future = log([(3, 1, 10)])

    apart = evaluate_recommendation(past=PAST, future=future, systems={"by row": by_row})
    within = evaluate_recommendation(
        past=PAST, histories=histories, future=future, systems={"by row": by_row}
    )

    assert apart.units[NOVEL].tolist() == []
    assert within.units[NOVEL].tolist() == [3]
    # Without item 0, which the session has, item 1 is the first.
    assert within.values["by row", NOVEL, "mrr"].tolist() == [1.0]
