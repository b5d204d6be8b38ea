"""What the channels are fitted on: the past, and not one bit of the future."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from models.channels.channels import Channels
from models.channels.fit import HISTORY_WEIGHTS, ChannelTables, fit_channels
from models.channels.history import Horizon
from models.config import TrainConfig
from models.event_log import EventLog
from models.heads import Heads
from models.recommender_training import window_lists
from tests.models.logs import DAY, NOW, merged, random_log

HORIZON = Horizon(window=20.0, half_life=25.0, gap=9.0, basket_size=1.5)
HEADS = Heads(kinds=("click", "buy"))
VECTORS = np.random.default_rng(3).normal(size=(11, 4)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def arrays_of(value: Any, name: str = "") -> dict[str, np.ndarray[Any, Any]]:
    """Every array of nested dataclasses and dictionaries."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {k: v for key, part in value.items() for k, v in arrays_of(part, f"{name}/{key}").items()}
    return {name: np.asarray(value)}


def future(seed: int, num_events: int, *, first_s: int = 0) -> EventLog:
    """Events from `NOW` on, the first of them that many seconds after it."""
    log = random_log(num_events=num_events, seed=seed)
    return dataclasses.replace(log, times=NOW + first_s + (log.times - log.times.min()))


def assert_same_bits(one: Any, other: Any) -> None:
    expected, found = arrays_of(one), arrays_of(other)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        assert values.tobytes() == found[name].tobytes(), name


@pytest.mark.parametrize("later", [future(1, 200), future(2, 5), future(3, 400, first_s=9 * DAY)])
def test_tables_do_not_change_with_what_happens_at_or_after_the_moment(later: EventLog) -> None:
    past = random_log()

    assert (later.times >= NOW).all()
    assert_same_bits(
        fit_channels(past, NOW, HORIZON, VECTORS), fit_channels(merged(past, later), NOW, HORIZON, VECTORS)
    )


def test_tables_change_with_the_second_before_the_moment() -> None:
    past = random_log()
    later = future(1, 200)
    just_before = dataclasses.replace(later, times=later.times - later.times.min() + NOW - 1)

    one, other = (fit_channels(log, NOW, HORIZON, VECTORS) for log in (past, merged(past, just_before)))

    changed = {
        name
        for name, values in arrays_of(one).items()
        if values.tobytes() != arrays_of(other)[name].tobytes()
    }
    assert {"/statistics", "/neighbours/posting_weights", "/links/ease/weights"} <= changed


@pytest.mark.slow
def test_features_of_a_window_do_not_change_with_what_is_chosen_in_it() -> None:
    """Nor with what comes after it; labels do, and are the only thing that does."""
    past, window = random_log(), future(1, 60)
    # The same users come back, and choose other items.
    rng = np.random.default_rng(5)
    other = dataclasses.replace(
        window, item_rows=rng.permutation(window.item_rows), times=rng.permutation(window.times)
    )
    end = int(window.times.max()) + 1
    after = dataclasses.replace(future(7, 80), times=future(7, 80).times - NOW + end)
    logs = [merged(past, window), merged(past, other), merged(merged(past, window), after)]

    lists = [
        window_lists(log, NOW, end, HORIZON, VECTORS, HEADS, TrainConfig(recommender_users=100))
        for log in logs
    ]

    first, second, third = lists
    assert first is not None
    assert second is not None
    assert third is not None
    for name in ("features", "is_valid", "is_seen"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes(), name
    assert_same_bits(first, third)
    assert any((first.labels[kind] != second.labels[kind]).any() for kind in HEADS.kinds)


def test_features_and_channels_have_one_order() -> None:
    tables: ChannelTables = fit_channels(random_log(), NOW, HORIZON, VECTORS)

    assert tuple(tables.links) == tuple(HISTORY_WEIGHTS)
    channels = Channels(tables, VECTORS)
    assert channels.names == (*HISTORY_WEIGHTS, "neighbours")
    assert len(set(channels.feature_names)) == len(channels.feature_names)


def test_log_of_nothing_says_nothing_but_by_text() -> None:
    empty = random_log().between(NOW, None)

    tables = fit_channels(empty, NOW, HORIZON, VECTORS)

    assert {name for name, links in tables.links.items() if links.weights.any()} == {"text"}
    assert len(tables.neighbours.user_rows) == 0
