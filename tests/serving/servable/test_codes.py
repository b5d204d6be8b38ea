"""Queries that are an item's id."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from serving.servable.codes import Codes
from tests import tiny
from tests.serving.servable.asking import ALL, Ask, name, shown

_IDS = ["AB-1", "ab1", "85123A", "x 7", "X-7", "--", "ÄÖ–9", "21498"]


def _codes(item_ids: list[str]) -> Codes:
    ids = np.array([item_id.encode() for item_id in item_ids], object)
    keys = tf.constant(ids.tolist())
    rows = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, tf.range(len(ids))), -1)
    return Codes(ids, rows)


@pytest.fixture(scope="module")
def codes() -> Codes:
    return _codes(_IDS)


def test_a_catalogue_whose_ids_are_all_plain_has_them_found() -> None:
    assert _codes(["1", "22"])(tf.constant(["2-2", "1", "3"])).numpy().tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("query", "item_id"),
    [
        ("21498", "21498"),
        (" 21498\n", "21498"),
        ("214 98", "21498"),
        ("21-498", "21498"),
        ("85123a", "85123A"),
        ("85123 A", "85123A"),
        # As it is written wins over what only looks alike, and then the first of the catalogue.
        ("AB-1", "AB-1"),
        ("ab1", "ab1"),
        ("X-7", "X-7"),
        ("x7", "x 7"),
        ("äö9", "ÄÖ–9"),
        ("--", "--"),
        ("-", None),
        ("", None),
        ("2149", None),
        ("21498 candle", None),
        ("\x00", None),
    ],
)
def test_case_spaces_and_dashes_do_not_count(codes: Codes, query: str, item_id: str | None) -> None:
    row = codes(tf.constant([query])).numpy().tolist()

    assert row == [-1 if item_id is None else _IDS.index(item_id)]


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u00ad", "\u2212", "\x00"])
def test_what_is_pasted_with_a_code_does_not_count(codes: Codes, unseen: str) -> None:
    plain = codes(tf.constant(["85123A", f"851{unseen}23A", f"{unseen}85123A"])).numpy()

    assert plain.tolist() == [plain[0]] * 3


def test_every_id_is_found_as_written_and_plain(codes: Codes) -> None:
    plain = [item_id.replace("-", "").replace(" ", "").swapcase() for item_id in ("85123A", "21498")]

    assert codes(tf.constant(_IDS)).numpy().tolist() == list(range(len(_IDS)))
    assert codes(tf.constant(plain)).numpy().tolist() == [_IDS.index("85123A"), _IDS.index("21498")]


def test_search_puts_every_item_first_whose_id_is_the_query(ask: Ask) -> None:
    rows = [row for row in range(ALL) if row != tiny.UNAVAILABLE]
    queries = [name(row).upper().replace("-", " ") for row in rows]

    answer = ask("search", query=queries, k=[5] * len(rows))

    assert [shown(answer, place)[0] for place in range(len(rows))] == [name(row) for row in rows]
    assert all(len(set(shown(answer, place))) == 5 for place in range(len(rows)))
    assert (np.diff(answer["scores"], axis=1) <= 0).all()


def test_the_rules_hold_for_codes_too(ask: Ask) -> None:
    assert name(tiny.UNAVAILABLE) not in shown(ask("search", query=[name(tiny.UNAVAILABLE)]))
    assert name(3) not in shown(ask("search", query=[name(3)], exclude=[[name(3)]]))
    hall = shown(ask("search", query=["lamp"], filters=[["room=hall"]]))
    other = next(name(row) for row in range(ALL) if row != tiny.UNAVAILABLE and name(row) not in hall)
    assert set(shown(ask("search", query=[other], filters=[["room=hall"]]))) == set(hall)


def test_pins_stay_in_front_and_other_rows_as_they_are(ask: Ask) -> None:
    alone = ask("search", query=["red teapot"])
    both = ask("search", query=[name(4), "red teapot"], pin=[[name(7)], []], k=[ALL, ALL])

    assert shown(both, 0)[:2] == [name(7), name(4)]
    assert shown(both, 1) == shown(alone)
