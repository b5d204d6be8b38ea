"""The order of candidates: those of retrieval, and those that a request brings."""

from __future__ import annotations

import numpy as np
import pytest

from serving.client.arguments import MAX_CANDIDATES
from serving.servable.answers import LOWEST
from tests import tiny
from tests.serving.servable.asking import Ask, name, shown


@pytest.mark.parametrize("user_id", ["", "ann"])
def test_rank_gives_the_scores_of_a_search(ask: Ask, user_id: str) -> None:
    given = {"query": ["green lamp"], "user_id": [user_id]}
    answer = ask("search", **given, k=[6])

    ranked = ask("rank", **given, candidates=[shown(answer)[::-1]])

    np.testing.assert_array_equal(ranked["item_ids"], answer["item_ids"])
    np.testing.assert_allclose(ranked["scores"], answer["scores"], atol=1e-5)
    np.testing.assert_allclose(ranked["channel_scores"], answer["channel_scores"], atol=1e-5)


def test_rank_puts_unknown_candidates_last_and_drops_empty_ones(ask: Ask) -> None:
    candidates = ["", name(3), "?", name(0), name(3), "no such item", name(tiny.UNAVAILABLE), ""]
    answer = ask("rank", query=["candle"], candidates=[candidates])

    assert answer["num_results"].tolist() == [4]
    assert sorted(shown(answer)) == sorted([name(0), name(3), name(3), name(tiny.UNAVAILABLE)])
    assert answer["item_ids"][0, 4:].tolist() == [b"?", b"no such item", b"", b""]
    assert answer["scores"][0, 4:].tolist() == [np.float32(LOWEST)] * 2 + [0.0, 0.0]
    assert (answer["titles"][0, 4:] == b"").all()
    assert (np.diff(answer["scores"][0, :6]) <= 0).all()
    assert np.isfinite(answer["scores"]).all()


def test_unknown_candidates_do_not_change_the_scores_of_the_others(ask: Ask) -> None:
    plain = ask("rank", query=["candle"], candidates=[[name(9), name(7)]])
    mixed = ask("rank", query=["candle"], candidates=[["?", name(9), "", name(7)]])

    np.testing.assert_allclose(mixed["scores"][:, :2], plain["scores"], atol=1e-6)


def test_candidates_past_the_limit_come_after_the_others_unscored(ask: Ask) -> None:
    candidates = [""] + [name(3)] * MAX_CANDIDATES + [name(0), "", name(7)]
    answer = ask("rank", query=["candle"], candidates=[candidates])

    assert answer["num_results"].tolist() == [MAX_CANDIDATES]
    assert shown(answer) == [name(3)] * MAX_CANDIDATES
    rest = answer["item_ids"][0, MAX_CANDIDATES:].tolist()
    assert rest == [name(0).encode(), name(7).encode(), b"", b""]
    assert answer["scores"][0, MAX_CANDIDATES:].tolist() == [np.float32(LOWEST)] * 2 + [0.0, 0.0]


@pytest.mark.parametrize("candidates", [[], ["?"], ["", ""]])
def test_rank_of_nothing_known_is_no_result(ask: Ask, candidates: list[str]) -> None:
    answer = ask("rank", query=["candle"], user_id=["ann"], candidates=[candidates])

    assert answer["num_results"].tolist() == [0]
    assert answer["item_ids"].shape == (1, len(candidates))
