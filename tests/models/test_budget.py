from __future__ import annotations

import math

from models.budget import Budget


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_budget_without_an_end_is_never_spent() -> None:
    budget = Budget(0.0)

    assert math.isinf(budget.left_s())
    assert budget.is_endless
    assert budget.share(0.1).is_endless
    assert not budget.is_spent


def test_share_of_a_budget_ends_before_it_and_notes_its_cuts_there() -> None:
    clock = Clock()
    budget = Budget(1.0, clock=clock)
    clock.now += 20.0

    part = budget.share(0.5)
    assert (budget.left_s(), part.left_s()) == (40.0, 20.0)
    clock.now += 20.0
    assert part.is_spent
    assert not budget.is_spent
    part.cut("Something was left out.")
    assert budget.cuts == ["Something was left out."]
    clock.now += 30.0
    assert budget.share(0.5).is_spent
