from __future__ import annotations

import numpy as np
import pytest

from models import validation
from models.item_table import ItemTable
from models.matrices import item_matrix
from models.two_tower import TwoTower
from models.validation import graded_ndcg, mean_measure, novel_ndcg
from tests import tiny
from tests.models.contexts import make_contexts


def test_vectors_of_the_catalogue_are_those_of_each_item(two_tower: TwoTower, items: ItemTable) -> None:
    expected = [two_tower.item_vectors(np.array([row])).numpy()[0] for row in range(len(items))]

    np.testing.assert_allclose(item_matrix(two_tower, len(items)), expected, atol=1e-5)


@pytest.mark.parametrize("num_at_a_time", [1, 2, 100])
def test_measure_is_that_of_dot_products_however_many_are_held(
    two_tower: TwoTower, items: ItemTable, monkeypatch: pytest.MonkeyPatch, num_at_a_time: int
) -> None:
    inputs = tiny.make_inputs(5)
    contexts = make_contexts(inputs=inputs, targets=[[row, 2 * row] for row in range(5)])
    scores = two_tower(inputs).numpy() @ item_matrix(two_tower, len(items)).T
    monkeypatch.setattr(validation, "_MAX_SCORES", num_at_a_time * len(items))

    measured = mean_measure(two_tower, contexts, len(items), graded_ndcg)

    assert measured == pytest.approx(graded_ndcg(scores, contexts), rel=1e-4)


def test_novel_ndcg_forgets_what_was_chosen_before() -> None:
    contexts = make_contexts(histories=[[0, 3], []], targets=[[3, 1], [2]])
    # Without items 0 and 3, the new item 1 is second; item 2 is first.
    scores = np.array([[9.0, 5.0, 7.0, 8.0], [1.0, 2.0, 3.0, 0.0]])

    assert novel_ndcg(scores, contexts) == pytest.approx((1 / np.log2(3) + 1.0) / 2)


def test_user_who_chose_nothing_new_does_not_count() -> None:
    contexts = make_contexts(histories=[[0], [1]], targets=[[0], [2]])

    assert novel_ndcg(np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]), contexts) == pytest.approx(1.0)


def test_graded_ndcg_takes_grades_as_gains() -> None:
    contexts = make_contexts(targets=[[0, 1, 2]], weights=[[0.1, 1.0, 0.0]])
    scores = np.array([[3.0, 2.0, 1.0, 0.0]])
    gained, best = 0.1 + 1 / np.log2(3), 1.0 + 0.1 / np.log2(3)

    assert graded_ndcg(scores, contexts) == pytest.approx(gained / best)
