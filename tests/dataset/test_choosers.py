from __future__ import annotations

import numpy as np
import pytest

from dataset.choosers import Choosers


@pytest.mark.parametrize("start", [0, 30, 50, 99, 100])
def test_users_with_and_without_a_past_are_those_of_sets(start: int) -> None:
    rng = np.random.default_rng(2)
    users, times = rng.integers(-40, 40, 300), rng.integers(0, 100, 300)
    choosers = Choosers()

    for begin in range(0, 300, 70):
        choosers.add(users[begin : begin + 70], times[begin : begin + 70])
    choosers.add(users[:0], times[:0])

    window, past = set(users[times >= start]), set(users[times < start])
    assert choosers.since(start) == (len(window), len(window & past))
    twice = {user for user in window if len(set(times[users == user])) > 1}
    assert choosers.since(start, within_sessions=True) == (len(window), len(twice))


def test_nobody_has_no_past() -> None:
    assert Choosers().since(5) == (0, 0)
