"""Times of availability: what each signature lists at which moment."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.item_table import ItemTable
from serving.servable.rules import Limits, Rules
from serving.servable.saving import save_servable
from tests import tiny
from tests.serving.servable.asking import ALL, LISTS, NOTHING_KNOWN, Ask, name, shown

MOMENTS = [1, tiny.OPENING - 1, tiny.OPENING, 0, tiny.CLOSING - 1, tiny.CLOSING]
# What is there at each of them.
LATE, EARLY, SHORT = (
    [moment in at for moment in MOMENTS]
    for at in (
        (tiny.OPENING, 0, tiny.CLOSING - 1, tiny.CLOSING),
        (1, tiny.OPENING - 1, tiny.OPENING, 0, tiny.CLOSING - 1),
        (tiny.OPENING, 0, tiny.CLOSING - 1),
    )
)


def _is_listed(ask: Ask, signature: str, given: dict[str, Any], row: int) -> list[bool]:
    """Whether an item is in the answer at each of the moments, which are asked for in one batch."""
    batch = {column: values * len(MOMENTS) for column, values in given.items()}
    answer = ask(signature, **batch, now=MOMENTS)
    return [name(row) in shown(answer, i) for i in range(len(MOMENTS))]


@pytest.mark.parametrize(
    ("signature", "given"),
    [
        *LISTS,
        *NOTHING_KNOWN,
        ("complement", {"item_ids": [[name(1)]]}),
        ("search", {"query": [tiny.TITLES[tiny.LATE]], "filters": [["price>0"]]}),
    ],
)
def test_item_is_listed_from_its_first_moment_until_just_before_its_last(
    ask: Ask, signature: str, given: dict[str, Any]
) -> None:
    assert _is_listed(ask, signature, given, tiny.LATE) == LATE
    assert _is_listed(ask, signature, given, tiny.EARLY) == EARLY
    if given.get("item_id") != [name(tiny.SHORT)]:
        assert _is_listed(ask, signature, given, tiny.SHORT) == SHORT


@pytest.mark.parametrize(
    ("signature", "given"), [("search", {"query": ["lamp"]}), ("recommend", {"user_id": ["bob"]})]
)
def test_pin_brings_no_closed_item_in(ask: Ask, signature: str, given: dict[str, Any]) -> None:
    pins = {"pin": [[name(tiny.LATE), name(tiny.EARLY)]]}
    answer = ask(signature, **{n: v * 3 for n, v in (given | pins).items()}, now=[1, 0, tiny.CLOSING])

    early, late = name(tiny.EARLY), name(tiny.LATE)
    assert [early in shown(answer, row) for row in range(3)] == [True, True, False]
    assert [late in shown(answer, row) for row in range(3)] == [False, True, True]
    assert [shown(answer, row)[0] for row in range(3)] == [early, late, late]


def test_code_and_sorting_bring_no_closed_item_in(ask: Ask) -> None:
    late = name(tiny.LATE)
    by_code = ask("search", query=[late] * 2, now=[0, 1])
    by_price = ask("search", query=[tiny.TITLES[tiny.LATE]] * 2, sort=["price"] * 2, now=[0, 1])

    assert shown(by_code)[0] == late
    for answer in (by_code, by_price):
        assert [late in shown(answer, row) for row in range(2)] == [True, False]


def test_facets_count_what_is_available(ask: Ask) -> None:
    everything = ask("facets", query=[""] * len(MOMENTS), now=MOMENTS)
    assert everything["num_matches"].tolist() == [
        ALL - 4 + sum(there) for there in zip(LATE, EARLY, SHORT, strict=True)
    ]

    code = ask("facets", query=[name(tiny.LATE)] * 2, now=[0, 1])
    assert code["num_matches"].tolist() == [1, 0]


def test_candidates_are_ranked_whether_they_are_available_or_not(ask: Ask) -> None:
    candidates = [name(tiny.LATE), name(tiny.UNAVAILABLE), name(0)]
    answer = ask("rank", candidates=[candidates], query=["lamp"], now=[1])

    assert set(shown(answer)) == set(candidates)


def test_of_a_catalogue_without_times_all_moments_are_alike() -> None:
    items = tiny.shared_model()[0]
    rules, now = Rules(items), tf.constant([1, tiny.CLOSING], tf.int64)

    found = rules.allowed(Limits.of(tf.fill([2, 1], ""), now))

    assert found.numpy().tolist() == [items.available.tolist()]


class _Clocked(tf.Module):
    def __init__(self, items: ItemTable) -> None:
        super().__init__()
        self.rules = Rules(items, times=tiny.make_times())

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
    def num_allowed(self, now: tf.Tensor) -> dict[str, tf.Tensor]:
        allowed = self.rules.allowed(Limits.of(tf.fill([tf.size(now), 1], ""), now))
        return {"num_allowed": tf.math.count_nonzero(allowed, axis=1)}


def test_moment_of_zero_is_the_clock_of_each_request(tmp_path: Path) -> None:
    """Also in a graph that was optimised, and asked before the item came."""
    module = _Clocked(tiny.shared_model()[0])
    save_servable(module, str(tmp_path), {"ask": module.num_allowed.get_concrete_function()})
    loaded = tf.saved_model.load(str(tmp_path))

    def num_allowed(opens: int) -> list[int]:
        loaded.rules.times.assign(np.repeat([[opens], [tiny.CLOSING]], ALL, axis=1))
        answer = loaded.signatures["ask"](now=tf.constant([0, opens - 1, opens], tf.int64))
        return answer["num_allowed"].numpy().tolist()

    assert num_allowed(tiny.CLOSING - 1) == [0, 0, ALL - 1]
    opens = int(time.time()) + 1
    time.sleep(opens + 0.01 - time.time())
    assert num_allowed(opens) == [ALL - 1, 0, ALL - 1]
