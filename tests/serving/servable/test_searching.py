"""What a search adds up, and the spelling it begins with."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.encoding import encode_tokens
from models.item_table import ItemTable
from models.lexical.index import LexicalIndex
from models.trained import TrainedModel
from tests import tiny
from tests.serving.servable.asking import ALL, Ask, shown


@pytest.mark.parametrize("query", ["red teapots", "glass without box", "zzz"])
def test_score_is_the_sum_of_words_and_meaning(
    ask: Ask, items: ItemTable, trained: TrainedModel, query: str
) -> None:
    answer = ask("search", query=[query], spell=[False], k=[ALL])

    rows = [tiny.IDS.index(item_id.encode()) for item_id in shown(answer)]
    tokens = tiny.make_tokenizer()(tf.constant([query]), length=tiny.CONFIG.model.max_query_tokens)
    meaning = items.text_vectors @ encode_tokens(trained.two_tower.encoder, tokens.numpy())[0]
    index = LexicalIndex({"title": tiny.TITLES, "room": tiny.ROOMS, "colour": tiny.COLOURS})
    words = {name: part.numpy()[0] for name, part in index(tf.constant([query])).parts().items()}
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
