from __future__ import annotations

import pytest
import tensorflow as tf

from models.lexical.words import (
    grams,
    negators,
    split_pieces,
    split_words,
    stop_words,
    words_of_catalogue,
)


def by_row(flat: tf.Tensor, rows: tf.Tensor, count: int) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in range(count)]
    for text, row in zip(flat.numpy(), rows.numpy(), strict=True):
        found[row].append(text.decode())
    return found


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
    found = split_words(tf.constant([text]))

    assert by_row(found.flat, found.rows, 1) == [words]
    assert found.places.numpy().tolist() == list(range(len(words)))


@pytest.mark.parametrize(
    ("last", "rows", "places"),
    [("红茶杯 cup", [0, 0, 2, 2, 2], [0, 1, 0, 1, 2]), ("blue cup", [0, 0, 2, 2], [0, 1, 0, 1])],
)
def test_rows_stay_apart(last: str, rows: list[int], places: list[int]) -> None:
    found = split_words(tf.constant(["red cup", "", last]))

    assert found.rows.numpy().tolist() == rows
    assert found.places.numpy().tolist() == places


@pytest.mark.parametrize("text", ["Red  TEAPOT, 1/2!", "", " ", "红茶 cup", "a-b_c\n"])
def test_pieces_are_the_text_again(text: str) -> None:
    pieces, is_word = split_pieces(tf.constant([text]))

    assert b"".join(pieces.flat.numpy()) == text.encode()
    words = [piece for piece, is_one in zip(pieces.flat.numpy(), is_word.numpy(), strict=True) if is_one]
    assert [word.lower() for word in words] == [
        word for word in split_words(tf.constant([text])).flat.numpy() if word.isascii()
    ]


def test_grams_are_of_the_word_with_its_ends_marked() -> None:
    found, owner = grams(tf.constant(["mug", "a", "grün"]))

    assert by_row(found, owner, 3) == [
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
