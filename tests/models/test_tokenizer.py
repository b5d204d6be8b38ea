from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
import tensorflow as tf

from models.encoder_usage import EncoderUsage
from models.tokenizer import Tokenizer, load_tokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
PIECES += [
    "tea",
    "##pot",
    "##s",
    "cafe",
    "un",
    "##afford",
    "##able",
    "a",
    "##b",
    "12",
    "##3",
    "茶",
    "壶",
    "red",
]
PIECES += ["!", ",", "-", "'", "$", "&", "."]
TEXTS = [
    "teapot",
    "Red TEAPOTS, unaffordable!",
    "Café  café\tCAFE\u0301",
    "茶壶 red茶",
    "red-tea & $12.123",
    "tea's",
    "unknownword tea",
    "",
    "   ",
    "ab abb abx",
]


def reference(text: str) -> list[int]:
    """BERT's uncased tokenisation (Devlin et al. 2019), character by character."""
    text = unicodedata.normalize("NFD", text.lower())
    text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    spaced = "".join(f" {c} " if is_alone(c) else c for c in text)
    return [piece for word in spaced.split() for piece in longest_first(word)]


def is_alone(c: str) -> bool:
    ascii_symbol = c.isascii() and not c.isalnum() and not c.isspace()
    return ascii_symbol or unicodedata.category(c).startswith("P") or "\u4e00" <= c <= "\u9fff"


def longest_first(word: str) -> list[int]:
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        ends = [end for end in range(len(word), start, -1) if prefix + word[start:end] in PIECES]
        if not ends:
            return [PIECES.index("[UNK]")]
        pieces.append(PIECES.index(prefix + word[start : ends[0]]))
        start = ends[0]
    return pieces


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(PIECES)


@pytest.mark.parametrize("length", [4, 20])
def test_equals_the_reference_cut_and_padded(tokenizer: Tokenizer, length: int) -> None:
    found = tokenizer(tf.constant(TEXTS), length=length).numpy().tolist()

    for text, row in zip(TEXTS, found, strict=True):
        expected = [2, *reference(text)[: length - 2], 3]
        assert row == expected + [0] * (length - len(expected)), text


def test_no_text_at_all_is_no_rows(tokenizer: Tokenizer) -> None:
    assert tokenizer(tf.zeros([0], tf.string), length=5).shape == (0, 5)


def test_rows_do_not_touch_each_other(tokenizer: Tokenizer) -> None:
    together = tokenizer(tf.constant(TEXTS), length=8).numpy()
    alone = [tokenizer(tf.constant([text]), length=8).numpy()[0] for text in TEXTS]

    assert together.tolist() == [row.tolist() for row in alone]


def test_length_is_known_inside_a_graph(tokenizer: Tokenizer) -> None:
    function = tf.function(lambda texts: tokenizer(texts, length=6)).get_concrete_function(
        tf.TensorSpec([None], tf.string)
    )

    assert function.output_shapes.as_list() == [None, 6]


def test_cased_tokenizer_keeps_case() -> None:
    tokenizer = Tokenizer([*PIECES, "Tea"], lowercase=False)

    assert tokenizer(tf.constant(["Tea tea"]), length=4).numpy().tolist() == [[2, len(PIECES), 4, 3]]


def test_what_texts_begin_with_comes_on_top_of_their_length() -> None:
    usage = EncoderUsage(query_prefix="red, a ", text_prefix="tea ")
    plain, tokenizer = Tokenizer(PIECES), Tokenizer(PIECES, usage=usage)

    for tokenise, prefix in ((tokenizer.queries, "Red, a"), (tokenizer, "tea")):
        rows = tokenise(tf.constant(TEXTS), length=6).numpy()
        start = reference(prefix)
        assert rows[:, : 1 + len(start)].tolist() == [[2, *start]] * len(TEXTS)
        alone = plain(tf.constant(TEXTS), length=6).numpy()
        assert rows[:, 1 + len(start) :].tolist() == alone[:, 1:].tolist()
    assert tokenizer.num_query_prefix == 3


def test_row_is_never_longer_than_the_positions_of_an_encoder() -> None:
    tokenizer = Tokenizer(PIECES, usage=EncoderUsage(query_prefix="tea tea tea "))

    row = tokenizer.queries(tf.constant(["red " * 600]), length=511).numpy()[0]

    assert row.tolist() == [2, *[PIECES.index("tea")] * 3, *[PIECES.index("red")] * 507, 3]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    usage = EncoderUsage(query_prefix="red ", text_prefix="tea ")
    Tokenizer([*PIECES, "Tea"], lowercase=False, usage=usage).save(str(tmp_path))

    loaded = load_tokenizer(str(tmp_path))

    assert loaded.vocabulary == (*PIECES, "Tea")
    assert loaded.queries(tf.constant(["Tea"]), length=3).numpy().tolist() == [
        [2, PIECES.index("red"), len(PIECES), 3]
    ]
    assert loaded(tf.constant(["Tea"]), length=3).numpy().tolist() == [[2, 4, len(PIECES), 3]]


@pytest.mark.parametrize("special", ["[PAD]", "[CLS]", "[SEP]"])
def test_vocabulary_without_a_special_piece_is_refused(special: str) -> None:
    with pytest.raises(ValueError, match=rf"must hold \[{special[1:-1]}\]"):
        Tokenizer([piece for piece in PIECES if piece != special])


@pytest.mark.parametrize(("settings", "expected"), [(None, 4), ({"do_lower_case": False}, 1)])
def test_reads_a_hugging_face_folder(settings: dict[str, bool] | None, expected: int, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    # Without these it is no encoder's folder.
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    if settings is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))

    tokenizer = Tokenizer.from_pretrained(str(tmp_path))

    assert tokenizer.vocabulary == tuple(PIECES)
    assert tokenizer(tf.constant(["TEA"]), length=3).numpy().tolist() == [[2, expected, 3]]
