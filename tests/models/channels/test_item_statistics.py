from __future__ import annotations

import numpy as np
import pytest

from models.channels.history import Horizon
from models.channels.item_statistics import NAMES, item_statistics
from models.event_log import DAY_S, EventLog
from tests.models.logs import NOW, events_of, random_log

HORIZON = Horizon(window=30.0, half_life=30.0, gap=9.0)


def expected_statistics(log: EventLog, horizon: Horizon) -> list[dict[str, float]]:
    """One item and one event at a time."""
    events = [(user, item, (NOW - time) / DAY_S) for user, item, time, _ in events_of(log) if time < NOW]
    oldest = max((age for _, _, age in events), default=0.0)
    found = []
    for wanted in range(log.num_items):
        own = [(user, age) for user, item, age in events if item == wanted]

        def users(
            low: float, high: float, own: list[tuple[int, float]] = own, *, closed: bool = False
        ) -> int:
            """Users whose age is in ``[low, high)``, or in ``(low, high]``."""
            return len({u for u, age in own if (low < age <= high if closed else low <= age < high)})

        first = {u: max(age for other, age in own if other == u) for u, _ in own}
        times = [u for u, _ in own]
        short, long, ever = users(0, 10), users(0, 40), users(0, np.inf)
        season = 0.0
        if oldest > 365 + horizon.window:
            to_come = users(365 - horizon.window, 365, closed=True)
            season = np.log((to_come + 5) / (users(365, 365 + horizon.window, closed=True) + 5))
        found.append(
            {
                "users_short": short,
                "users_long": long,
                "users_ever": ever,
                "new_users": sum(age < 20 for age in first.values()),
                "trend": np.log((short + 2) / (long / 4 + 2)),
                "age_days": max((age for _, age in own), default=0.0),
                "repeat_rate": (len({u for u in times if times.count(u) > 1}) + 1) / (ever + 10),
                "season": season,
            }
        )
    return found


@pytest.mark.parametrize("days", [20, 120, 800])
def test_statistics_are_counted_item_by_item(days: int) -> None:
    # One item is never chosen.
    log = random_log(num_items=12, num_events=300, days=days).between(None, NOW)

    found = item_statistics(log, NOW, HORIZON)

    for row, said in enumerate(expected_statistics(log, HORIZON)):
        for name, value in said.items():
            np.testing.assert_allclose(found[row, NAMES.index(name)], value, rtol=1e-5, err_msg=name)


def test_item_that_nobody_chose_has_the_least_of_everything() -> None:
    empty = random_log().between(NOW, None)

    found = dict(zip(NAMES, item_statistics(empty, NOW, HORIZON)[0].tolist(), strict=True))

    assert found.pop("repeat_rate") == pytest.approx(0.1)
    assert set(found.values()) == {0.0}
