from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.lexical import spelling as spelling_module
from models.lexical.index import LexicalIndex
from models.lexical.spelling import Spelling
from models.lexical.word_forms import WordForms

TITLES = [
    "red party mug",
    "blue mug with straw",
    "glass candle, sugar free",
    "candles without scent",
    "wireless parties kit",
    "scented candle",
]
TEXTS = ["for tea", "no lid", "burns long", "", "for the house", "smells of roses"]


@pytest.fixture(scope="module")
def index() -> LexicalIndex:
    return LexicalIndex({"title": TITLES, "text": TEXTS})


@pytest.mark.parametrize(
    ("word", "same"),
    [
        ("party", "parties"),
        ("candle", "candles"),
        # Forms that the catalogue does not have.
        ("mugs", "mug"),
        ("scents", "scent"),
    ],
)
def test_forms_of_a_word_are_one_term(word: str, same: str) -> None:
    words = [word.encode() for word in " ".join([*TITLES * 5, *TEXTS]).replace(",", "").split()]
    # Endings are the catalogue's own: what is common there.
    forms = WordForms(sorted({*words, b"cups", b"lamps"}), "english")

    terms = forms(tf.constant([word, same])).numpy()

    assert terms[0] == terms[1] >= 0


def test_stop_words_and_unknown_words_have_no_term() -> None:
    forms = WordForms([b"red", b"the"], "english")

    assert forms(tf.constant(["red", "the", "unheard", ""])).numpy().tolist() == [0, -1, -1, -1]
    assert forms.is_stop_word(tf.constant(["the", "red", ""])).numpy().tolist() == [True, False, False]


def test_title_counts_more_than_text() -> None:
    index = LexicalIndex({"title": ["lamp", "tea lamp"], "text": ["tea for two", "for two now"]})

    scores = index.bm25(["tea"])[0]

    assert scores[1] > scores[0] > 0


def test_one_letter_and_one_digit_are_words() -> None:
    index = LexicalIndex({"title": ["1 2 pint jug", "2 3 pint jug", "vitamin c"]})

    assert index.bm25(["1/2 pint", "c"]).argmax(axis=1).tolist() == [0, 2]


def test_negated_word_moves_items_down_and_those_that_lack_it_up(index: LexicalIndex) -> None:
    plain, without = index(tf.constant(["mug straw", "mug w/o straw"])).parts()["negation"].numpy()
    candle = index(tf.constant(["candle without scent"])).parts()["negation"].numpy()[0]

    assert not plain.any()
    assert without[1] < 0
    assert without[0] == 0
    # It says that it has none, and has the word in its title for that reason only.
    assert candle[3] > 0
    assert candle[5] < 0


def test_word_behind_the_negation_counts_nothing_but_against(index: LexicalIndex) -> None:
    wanted, both = (index(tf.constant([query])) for query in ("candle", "candle without straw"))

    np.testing.assert_allclose(both.words, wanted.words, atol=1e-6)
    np.testing.assert_allclose(both.grams, wanted.grams, atol=1e-6)
    assert both.has_negated.numpy().any()


def test_text_goes_on_behind_a_null_character(index: LexicalIndex) -> None:
    apart, cut = index.bm25(["candle straw", "candle\x00straw"])

    np.testing.assert_allclose(cut, apart)


def test_grams_find_parts_of_words(index: LexicalIndex) -> None:
    scores = index(tf.constant(["wirelessness"]))

    assert not scores.words.numpy().any()
    assert scores.grams.numpy()[0].argmax() == 4


def test_nothing_known_says_nothing(index: LexicalIndex) -> None:
    for query in ("", "zzqx", "the", "without", "\x00"):
        for part in index(tf.constant([query])).parts().values():
            assert not part.numpy().any(), query


@pytest.mark.parametrize("titles", [[], [""], ["", "the"], ["红茶杯", "绿茶"]])
def test_catalogue_of_few_words_is_indexed(titles: list[str]) -> None:
    index = LexicalIndex({"title": titles}, "chinese")

    assert index(tf.constant(["红茶", "the"])).words.shape == (2, len(titles))


def test_german_words_meet_in_their_stems() -> None:
    index = LexicalIndex({"title": ["rote Häuser", "blaue Tassen ohne Henkel"]}, "german")

    assert index.bm25(["Haus rot"]).argmax() == 0 or index.bm25(["rotes Häusern"]).argmax() == 0
    assert index(tf.constant(["Tasse ohne Henkel"])).parts()["negation"].numpy()[0, 1] > 0


@pytest.mark.parametrize(
    ("typed", "corrected"),
    [
        ("red CNADLE!", "red candle!"),
        ("candel", "candle"),
        ("scxnted candid", "scented candid"),
        ("canddle", "candle"),
        ("cendle", "candle"),
        # Right as they are: known, a stop word, short, with digits, a word of the language.
        ("candles", "candles"),
        ("with", "with"),
        ("mgu", "mgu"),
        ("candl3", "candl3"),
        ("handle", "handle"),
        # Two edits away.
        ("cnadel", "cnadel"),
        ("", ""),
        ("Ünïcode 红茶 \n", "Ünïcode 红茶 \n"),
    ],
)
def test_unknown_word_becomes_the_commonest_one_an_edit_away(typed: str, corrected: str) -> None:
    words = [b"candle", b"scented", b"with", b"candid", b"kandle", b"cups", b"pots"]
    forms = WordForms(words, "english")
    spelling = Spelling(words, np.array([5, 3, 9, 2, 1, 1, 1]), forms, other_words=["handle", "##x"])

    assert spelling(tf.constant([typed])).numpy().tolist() == [corrected.encode()]


def test_of_several_words_the_commonest_is_meant() -> None:
    words = [b"lamp", b"lame", b"land"]
    spelling = Spelling(words, np.array([2, 7, 1]), WordForms(words, "english"))

    assert spelling(tf.constant(["lamq lamz", "lanq"])).numpy().tolist() == [b"lame lame", b"land"]


def test_word_of_one_item_of_a_large_catalogue_may_be_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spelling_module, "_MAX_WORDS", 2)
    words = [b"lamp", b"lame", b"land"]
    spelling = Spelling(words, np.array([2, 7, 1]), WordForms(words, "english"))

    assert spelling(tf.constant(["lanq"])).numpy().tolist() == [b"lanq"]


def test_matches_name_each_word_with_the_first_column_that_has_it() -> None:
    index = LexicalIndex(
        {"title": ["red mugs", "blue mug", "candle"], "text": ["a red tea mug", "", "red wax"]}
    )
    items = tf.constant([[0, 2, -1], [2, 1, 0]])

    matches = index.matches(tf.constant(["Red mug zzz the", "mugs without tea"]), items).numpy()

    assert matches.tolist() == [
        [b"red=title\nmug=title", b"red=text", b""],
        [b"", b"mugs=title", b"mugs=title"],
    ]


def test_matches_of_nothing_are_nothing(index: LexicalIndex) -> None:
    assert index.matches(tf.constant(["", "zzz"]), tf.constant([[0], [-1]])).numpy().tolist() == [
        [b""],
        [b""],
    ]
    assert index.matches(tf.constant(["mug"]), tf.zeros([1, 0], tf.int32)).shape == (1, 0)


def test_long_query_counts_with_its_first_words(index: LexicalIndex) -> None:
    long, cut = index(tf.constant(["mug " * 5000, "mug " * 64]))[0].numpy()

    np.testing.assert_allclose(long, cut)
    typed = "mgu " * 300 + "candel"
    assert index.spelling(tf.constant([typed])).numpy().tolist() == [typed.encode()]
    huge = index(tf.constant(["candle" * 50_000]))
    assert np.isfinite(huge.grams.numpy()).all()


def test_text_that_is_not_utf_8_is_searched_for(index: LexicalIndex) -> None:
    for query in (b"\xff\xfe mug", b"m\xffug", b"\xff" * 40):
        assert np.isfinite(index(tf.constant([query])).words.numpy()).all()
        index.spelling(tf.constant([query]))
        index.matches(tf.constant([query]), tf.constant([[0]]))
