"""What a search adds up, and the spelling it begins with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.encoding import encode_tokens
from models.item_table import ItemTable
from models.lexical.index import LexicalIndex
from models.trained import TrainedModel
from tests import tiny
from tests.serving.servable.asking import ALL, Answer, Ask, shown


@pytest.mark.parametrize("query", ["red teapots", "glass without box", "zzz"])
def test_score_is_the_sum_of_words_and_meaning(
    ask: Ask, items: ItemTable, trained: TrainedModel, query: str
) -> None:
    answer = ask("search", query=[query], spell=[False], k=[ALL])

    rows = [tiny.IDS.index(item_id.encode()) for item_id in shown(answer)]
    tokens = tiny.make_tokenizer()(tf.constant([query]), length=tiny.CONFIG.model.max_query_tokens)
    meaning = items.text_vectors @ encode_tokens(trained.two_tower.encoder, tokens.numpy())[0]
    index = LexicalIndex({"title": tiny.TITLES, "room": tiny.ROOMS, "colour": tiny.COLOURS})
    said = index(tf.constant([query])).parts()
    words = {name: np.broadcast_to(part.numpy()[0], len(meaning)) for name, part in said.items()}
    expected = meaning + words["words"] + words["grams"] + words["negation"]
    np.testing.assert_allclose(answer["scores"][0, : len(rows)], expected[rows], atol=1e-4)
    assert tiny.UNAVAILABLE not in rows
    assert (np.diff(expected[rows]) <= 1e-4).all()
    parts = answer["channel_scores"][0, : len(rows)]
    for place, part in enumerate([meaning, words["words"], words["grams"], words["negation"]]):
        np.testing.assert_allclose(parts[:, place], part[rows], atol=1e-4)


def test_history_moves_a_search_and_says_by_how_much(ask: Ask) -> None:
    plain = ask("search", query=["lamp"])
    known = ask("search", query=["lamp"], user_id=["ann"])

    assert not plain["channel_scores"][0, :, 4].any()
    assert known["channel_scores"][0, :ALL, 4].any()
    np.testing.assert_allclose(known["channel_scores"].sum(axis=2), known["scores"], atol=1e-4)


def test_what_somebody_chose_before_is_lifted_and_named(ask: Ask) -> None:
    row = 2
    plain = ask("search", query=["teapot"], k=[ALL])
    once = ask("search", query=["teapot"], history=[["item-02"]], k=[ALL])
    thrice = ask("search", query=["teapot"], history=[["item-02"] * 3], k=[ALL])

    def of(answer: Answer, name: str) -> Any:
        return answer[name][0, shown(answer).index(f"item-{row:02d}")]

    assert of(plain, "scores") < of(once, "scores") < of(thrice, "scores")
    assert (of(plain, "reason_item_ids"), of(once, "reason_item_ids")) == (b"", b"item-02")
    speakers = dict(zip(shown(once), once["reason_item_ids"][0].tolist(), strict=False))
    assert [item_id for item_id, speaker in speakers.items() if speaker] == ["item-02"]


def test_habit_does_not_hide_what_was_asked_for(ask: Ask) -> None:
    ten, hundreds = (
        ask("search", query=["teapot"], history=[["item-02"] * times], k=[ALL]) for times in (10, 300)
    )

    place = shown(ten).index("item-02")
    assert shown(hundreds).index("item-02") == place
    np.testing.assert_allclose(hundreds["scores"][0, place], ten["scores"][0, place], atol=0.05)


@pytest.mark.parametrize("query", ["zzz", "\u00a0", "\u3000\u200b", "teapot"])
def test_others_in_the_batch_change_no_answer(ask: Ask, query: str) -> None:
    alone = ask("search", query=[query], k=[ALL])
    beside = ask("search", query=[query, "lamp"], user_id=["", "ann"], k=[ALL, ALL])

    assert shown(alone) == shown(beside)
    np.testing.assert_allclose(alone["scores"][0], beside["scores"][0], atol=1e-5)


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\u200b", "\x00", "\t"])
def test_text_that_nobody_sees_is_none(ask: Ask, blank: str) -> None:
    assert shown(ask("search", query=[blank])) == shown(ask("search", query=[""]))


def test_unknown_word_is_searched_for_as_the_catalogue_spells_it(ask: Ask) -> None:
    answer = ask("search", query=["red teapt"])
    right = ask("search", query=["red teapot"])

    assert answer["corrected_query"].tolist() == [b"red teapot"]
    assert right["corrected_query"].tolist() == [b""]
    assert shown(answer) == shown(right)
    np.testing.assert_allclose(answer["scores"], right["scores"], atol=1e-6)


def test_caller_may_search_as_typed(ask: Ask) -> None:
    answer = ask("search", query=["red teapt", "red teapt"], spell=[False, True])

    assert answer["corrected_query"].tolist() == [b"", b"red teapot"]
    assert (answer["scores"][0] != answer["scores"][1]).any()


def test_answer_says_which_words_matched_and_where(ask: Ask) -> None:
    answer = ask("search", query=["red teapot zzz"], spell=[False], k=[ALL])
    said = dict(zip(shown(answer), answer["matches"][0].tolist(), strict=False))

    assert said["item-00"] == b"red=title\nteapot=title"
    assert said["item-01"] == b"teapot=title"
    assert said["item-03"] == b"red=colour"
    assert said["item-04"] == b""
    reasons = dict(zip(shown(answer), answer["reasons"][0].tolist(), strict=False))
    assert (reasons["item-00"], reasons["item-04"]) == (b"words", b"text")


def test_pages_follow_each_other_without_repeats(ask: Ask) -> None:
    given = {"query": ["glass box"] * 3, "user_id": ["ann", "", ""]}
    whole = ask("search", **given, k=[9, 9, 9])
    first = ask("search", **given, k=[4, 2, 0], offset=[0, 3, 0])
    second = ask("search", **given, k=[4, 4, 3], offset=[4, 5, 400])

    assert shown(first) + shown(second) == shown(whole)[:8]
    assert shown(first, 1) + shown(second, 1) == shown(whole, 1)[3:9]
    assert shown(first, 2) == shown(second, 2) == []
    np.testing.assert_array_equal(second["channel_scores"][0], whole["channel_scores"][0, 4:8])


@pytest.mark.parametrize("wish", [{"boost": [["room=hall:9"]]}, {"diversity": [0.7]}])
def test_pages_beyond_what_is_arranged_follow_each_other(ask: Ask, wish: dict[str, list[Any]]) -> None:
    assert tiny.CONFIG.serve.num_candidates < ALL
    given = {"query": ["glass box"], **wish}
    whole = ask("search", **given, k=[ALL])
    pages = [ask("search", **given, k=[3], offset=[start]) for start in range(0, ALL, 3)]

    assert [item for page in pages for item in shown(page)] == shown(whole)
    np.testing.assert_array_less(np.diff(whole["scores"][0, : len(shown(whole))]), 1e-6)


def test_recommendation_without_a_text_has_pages_too(ask: Ask) -> None:
    given = {"query": [""], "user_id": ["ann"]}
    whole, second = ask("search", **given, k=[6]), ask("search", **given, k=[3], offset=[3])

    assert shown(second) == shown(whole)[3:6]


@pytest.mark.parametrize(("sort", "sign"), [("price", 1), ("-price", -1)])
def test_matches_are_sorted_by_a_number(ask: Ask, sort: str, sign: int) -> None:
    answer = ask("search", query=["box teapot cups lamp"], sort=[sort], k=[ALL])

    # Those that have a word of the query, and a price.
    rows = [tiny.IDS.index(item_id.encode()) for item_id in shown(answer)]
    assert sorted(rows) == [0, 1, 2, 5, 6, 7, 10]
    prices = [sign * tiny.PRICES[row] for row in rows]
    assert prices == sorted(prices)
    np.testing.assert_allclose(answer["scores"][0, : len(rows)], [-price for price in prices])


def test_nothing_is_sorted_by_what_is_no_number(ask: Ask) -> None:
    answer = ask("search", query=["lamp", "lamp"], sort=["", "colour"], k=[ALL, ALL])

    assert len(shown(answer)) == ALL - 1
    assert shown(answer, 1) == []


def test_code_of_an_item_puts_it_first(ask: Ask) -> None:
    answer = ask("search", query=["4006381333931", "sku-7", "lamp"], k=[1, 1, 1])

    assert [shown(answer, row) for row in range(3)] == [["item-00"], ["item-02"], ["item-04"]]


def test_code_is_not_corrected_though_a_word_is_near(ask: Ask) -> None:
    answer = ask("search", query=["TEAPO", "teapo x"], k=[1, 1])

    assert answer["corrected_query"].tolist() == [b"", b"teapot x"]
    assert shown(answer) == ["item-03"]


def test_facets_count_all_matches_and_not_the_first_page(ask: Ask) -> None:
    answer = ask("facets", query=["teapots"], k=[3])

    assert answer["num_matches"].tolist() == [2]
    assert answer["values"][0].tolist() == [b"room=kitchen", b"colour=blue", b"colour=red"]
    assert answer["counts"][0].tolist() == [2, 1, 1]
    assert answer["histogram_columns"].tolist() == [[b"price"]]
    edges, counts = answer["histogram_edges"][0, 0], answer["histogram_counts"][0, 0]
    prices = [tiny.PRICES[row] for row in (0, 1)]
    assert counts.tolist() == np.histogram(prices, edges)[0].tolist()


def test_filter_leaves_as_many_as_its_facet_counts(ask: Ask) -> None:
    for query in ("glass", "zzqx"):
        counted = ask("facets", query=[query], k=[ALL])
        for value, count in zip(counted["values"][0].tolist(), counted["counts"][0].tolist(), strict=True):
            if value:
                filtered = ask("facets", query=[query], k=[1], filters=[[value.decode()]])
                assert filtered["num_matches"][0] == count


def test_facets_of_a_negation_count_what_has_the_wanted_word(ask: Ask) -> None:
    plain, negated = (ask("facets", query=[query], k=[1]) for query in ("glass", "glass without box"))

    assert plain["num_matches"][0] == negated["num_matches"][0]


def test_facets_of_a_code_are_those_of_its_item(ask: Ask) -> None:
    assert ask("facets", query=["ITEM 03"], k=[1])["num_matches"][0] == 1


def test_facets_without_a_text_count_all_that_is_open(ask: Ask) -> None:
    answer = ask("facets", query=["", ""], filters=[[], ["room=kitchen"]], k=[100, 100])
    rows = [row for row in range(ALL) if row != tiny.UNAVAILABLE]

    in_kitchen = sum(tiny.ROOMS[row] == "kitchen" for row in rows)
    assert answer["num_matches"].tolist() == [ALL - 1, in_kitchen]
    counts = {
        value.decode(): count
        for value, count in zip(answer["values"][0], answer["counts"][0].tolist(), strict=True)
        if value
    }
    for column, values in (("room", tiny.ROOMS), ("colour", tiny.COLOURS)):
        for value in set(values) - {""}:
            assert counts.pop(f"{column}={value}") == sum(values[row] == value for row in rows)
    assert not counts
    prices = np.array([tiny.PRICES[row] for row in rows])
    assert answer["histogram_counts"][0, 0].sum() == np.isfinite(prices).sum()


def test_facets_count_what_lies_in_the_ranges(ask: Ask) -> None:
    answer = ask(
        "facets", query=["", "teapots"], filters=[["price<=2", "room!=hall"], ["price>2"]], k=[10, 10]
    )

    assert answer["num_matches"].tolist() == [2, 1]


def test_suggestions_are_past_queries_then_words_then_titles(ask: Ask) -> None:
    answer = ask("suggest", text=["Red ", "garden l", "", "red cup"], k=[10, 10, 10, 10])
    said = [
        [(text.decode(), kind.decode()) for text, kind in zip(*row, strict=True) if text]
        for row in zip(answer["suggestions"], answer["kinds"], strict=True)
    ]

    assert said[0] == [("red cup", "query"), ("red teapot", "query")]
    assert said[1] == [("garden lamp", "word"), ("garden light", "word")]
    assert said[2] == []
    assert said[3] == []
    assert answer["num_results"].tolist() == [2, 2, 0, 0]
    assert ask("suggest", text=["red "], k=[1])["suggestions"].tolist() == [[b"red cup"]]
