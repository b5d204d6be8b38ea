from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.manifest import load_manifest
from models.event_log import DAY_S, EventLog, kinds_of, places_of, read_dislikes, read_event_log
from tests.components.in_memory import write_tables
from tests.models.logs import NOW, decayed, events_of, random_log

MANIFEST = """\
name = "shop"
[items]
path = "items.csv"
id = "sku"
text = ["title"]
[events]
path = "events.csv"
user = "user"
item = "sku"
time = "at"
value = "stars"
session = "visit"
[events.kind]
column = "what"
kinds = { look = { weight = 0.25, label = "click" }, paid = { weight = 0.5, label = "buy" } }
"""
EVENTS = """\
user,sku,at,what,stars,visit
bob,a,100,look,,v1
bob,a,160,paid,4,v1
bob,b,170,look,,
bob,gone,180,paid,,
ann,b,50,paid,,v1
ann,b,50,look,,
bob,b,170,paid,2,
"""


def make_log(rows: list[tuple[int, int, int]], **more: Any) -> EventLog:
    users, items, times = np.array(rows).T
    return EventLog.of(user_rows=users, item_rows=items, times=times, num_users=3, num_items=4, **more)


def test_events_are_in_order_of_user_and_time() -> None:
    log = make_log([(2, 0, 5), (0, 1, 9), (0, 3, 2), (1, 2, 4)])

    assert [event[:3] for event in events_of(log)] == [(0, 3, 2), (0, 1, 9), (1, 2, 4), (2, 0, 5)]


def test_item_twice_in_a_second_is_there_once_with_its_heaviest_kind() -> None:
    rows = [(0, 1, 7), (0, 1, 7), (0, 1, 7), (0, 1, 8), (1, 1, 7)]
    log = make_log(
        rows,
        weights=np.array([1.0, 4.0, 2.0, 1.0, 1.0]),
        kinds=np.array([0, 2, 1, 0, 0]),
        values=np.array([1.0, 5.0, 3.0, 2.0, 2.0]),
    )

    assert events_of(log) == [(0, 1, 7, 1.0), (0, 1, 8, 0.25), (1, 1, 7, 0.25)]
    assert log.kinds.tolist() == [2, 0, 0]
    assert log.values.tolist() == [5.0, 2.0, 2.0]


def test_session_is_one_basket_but_not_across_users() -> None:
    rows = [(0, 1, 10), (0, 1, 20), (0, 2, 30), (1, 1, 10), (0, 1, 40), (0, 3, 40)]
    log = make_log(rows, sessions=np.array([5, 5, 5, 5, -1, -1]))

    # Of equal weights the earliest is kept.
    assert [event[:3] for event in events_of(log)] == [
        (0, 1, 10),
        (0, 2, 30),
        (0, 1, 40),
        (0, 3, 40),
        (1, 1, 10),
    ]
    first, second, third, fourth, other = log.baskets.tolist()
    assert first == second
    assert third == fourth
    assert len({first, third, other}) == 3


def test_log_of_nothing_is_empty() -> None:
    log = EventLog.of(
        user_rows=np.zeros(0, int),
        item_rows=np.zeros(0, int),
        times=np.zeros(0, int),
        num_users=0,
        num_items=4,
    )

    assert len(log) == 0
    assert log.binary().shape == (0, 4)
    assert log.typical_gap_days() == 30.0


def test_between_has_its_start_and_not_its_end() -> None:
    log = make_log([(0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 4)])

    assert log.between(2, 4).times.tolist() == [2, 3]
    assert log.between(None, 3).times.tolist() == [1, 2]
    assert log.between(3, None).times.tolist() == [3, 4]
    assert len(log.between(None, None)) == 4


def test_weights_halve_with_every_half_life() -> None:
    log = random_log()

    np.testing.assert_allclose(
        log.decayed(NOW, 20.0).toarray(), decayed(log, NOW, 20.0), rtol=1e-5, atol=1e-7
    )
    np.testing.assert_array_equal(log.binary().toarray(), decayed(log, NOW, 20.0) > 0)


def test_typical_gap_is_the_mean_time_between_a_users_days() -> None:
    day = int(DAY_S)
    log = make_log([(0, 0, day), (0, 1, day + 5), (0, 2, 4 * day), (0, 2, 5 * day), (1, 0, 9 * day)])

    assert log.typical_gap_days() == (3 + 1) / 2


@pytest.mark.parametrize(
    ("wanted", "expected"), [([5, 1, 4, 9, 0], [2, 0, -1, 3, -1]), ([], []), ([9, 9], [3, 3])]
)
def test_places_are_those_of_a_dictionary(wanted: list[int], expected: list[int]) -> None:
    assert places_of(np.array(wanted, int), np.array([1, 3, 5, 9])).tolist() == expected


def test_nothing_is_in_an_empty_table() -> None:
    assert places_of(np.array([b"a"], object), np.zeros(0, object)).tolist() == [-1]


def test_raw_events_are_read_as_the_manifest_describes_them(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text(MANIFEST)
    (tmp_path / "items.csv").write_text("sku,title\na,Lamp\nb,Chair\n")
    (tmp_path / "events.csv").write_text(EVENTS)
    manifest = load_manifest(tmp_path)
    assert manifest.events is not None
    write_tables(manifest, tmp_path / "out")

    log, users = read_event_log(
        str(tmp_path / "out" / "events" / "Split-all" / "*"),
        manifest.events,
        np.array([b"a", b"b"], object),
    )

    assert kinds_of(manifest.events) == ("click", "buy")
    assert users.tolist() == [b"ann", b"bob"]
    # Ann's two are of a visit and of none; Bob's look at a was bought in the same visit.
    assert events_of(log) == [(0, 1, 50, 1.0), (0, 1, 50, 0.5), (1, 0, 160, 1.0), (1, 1, 170, 1.0)]
    assert log.kinds.tolist() == [1, 0, 1, 1]
    np.testing.assert_array_equal(log.values, [np.nan, np.nan, 4.0, 2.0])
    assert log.shape == (2, 2)


def test_only_positive_events_are_in_the_log_and_only_negative_ones_are_dislikes(tmp_path: Path) -> None:
    kinds = "kinds = { paid = 2.0, shown = 0.0, bad = -1.0, worse = { weight = -3, label = 'bad' } }"
    manifest_text = re.sub(r"kinds = .*", kinds, MANIFEST.replace('value = "stars"\nsession = "visit"\n', ""))
    (tmp_path / "dataset.toml").write_text(manifest_text)
    (tmp_path / "items.csv").write_text("sku,title\na,Lamp\nb,Chair\nc,Table\n")
    (tmp_path / "events.csv").write_text(
        "user,sku,at,what\nbob,a,1,paid\nbob,b,2,shown\nbob,c,3,bad\nbob,c,4,worse\nbob,a,5,bad\n"
        "ann,c,3,paid\ncid,b,9,worse\ncid,gone,9,bad\ndot,a,1,shown\n"
    )
    manifest = load_manifest(tmp_path)
    assert manifest.events is not None
    write_tables(manifest, tmp_path / "out")
    pattern, ids = (
        str(tmp_path / "out" / "events" / "Split-all" / "*"),
        np.array([b"a", b"b", b"c"], object),
    )

    log, users = read_event_log(pattern, manifest.events, ids)
    wanted = np.array([b"cid", b"bob", b"ann"], object)
    dislikes = read_dislikes(pattern, manifest.events, ids, wanted)

    assert kinds_of(manifest.events) == ("paid",)
    assert users.tolist() == [b"ann", b"bob"]
    assert [event[:3] for event in events_of(log)] == [(0, 2, 3), (1, 0, 1)]
    assert [rows.tolist() for rows in dislikes] == [[1], [0, 2], []]
    before = read_dislikes(pattern, manifest.events, ids, wanted, before=5)
    assert [rows.tolist() for rows in before] == [[], [2], []]
    assert read_dislikes(pattern, manifest.events, ids, np.zeros(0, object)) == []


def test_users_are_asked_when_the_window_begins() -> None:
    log = make_log([(0, 0, 1), (0, 1, 5), (1, 2, 6), (1, 3, 7), (0, 2, 9)])

    histories, chosen = log.cut(5, 9, within=False)

    assert [event[:3] for event in events_of(histories)] == [(0, 0, 1)]
    assert [event[:3] for event in events_of(chosen)] == [(0, 1, 5), (1, 2, 6), (1, 3, 7)]


def test_sessions_are_asked_before_their_last_moment_in_the_window() -> None:
    rows = [(0, 0, 1), (0, 1, 5), (1, 2, 6), (1, 3, 7), (1, 0, 7), (0, 2, 9), (2, 1, 2), (2, 2, 3)]
    log = make_log(rows, sessions=np.array([row[0] for row in rows]))

    histories, chosen = log.cut(5, 9, within=True)

    assert [event[:3] for event in events_of(histories)] == [(0, 0, 1), (1, 2, 6)]
    assert [event[:3] for event in events_of(chosen)] == [(0, 1, 5), (1, 0, 7), (1, 3, 7)]
