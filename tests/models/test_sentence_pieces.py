from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.encoder_usage import EncoderUsage
from models.packages.piece_model import SPECIAL, piece_model, piece_reader, pieces_of
from models.reading import text_reader
from models.sentence_pieces import SentencePieceTokenizer
from models.tokenizer import Tokenizer, load_tokenizer

PIECES = ["▁", "▁red", "▁re", "d", "▁mug", "m", "u", "g", "红色", "红", "色", "杯", ":", "▁query", "ﾊ", "ハ"]
# Longer pieces are likelier than the sum of their parts.
SCORES = [-4.0, -5.0, -7.0, -6.0, -5.0, -6.0, -6.0, -6.0, -5.0, -7.0, -7.0, -5.0, -4.0, -6.0, -9.0, -5.0]
MODEL = piece_model(PIECES, SCORES)
TEXTS = [
    "red mug",
    "  red   mug ",
    "红色杯",
    "色红",
    "ｒｅｄ\u3000杯",  # wide letters and a wide space
    "ﾊ",
    "red\u200dmug",
    "red ξξ mug",
    "",
    "   ",
]


def reference(text: str) -> list[int]:
    """The likeliest split (Kudo 2018) of a text in plain characters, by trying all of them."""
    text = "".join(f"▁{word}" for word in text.split())
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for end in range(1, len(text) + 1):
        ways = [
            (best[begin][0] + SCORES[i], [*best[begin][1], len(SPECIAL) + i])
            for begin in range(end)
            for i, piece in enumerate(PIECES)
            if piece == text[begin:end]
        ]
        best.append(max(ways, default=(-math.inf, [])))
    return best[-1][1]


@pytest.fixture(scope="module")
def tokenizer() -> SentencePieceTokenizer:
    return SentencePieceTokenizer(MODEL)


def unpadded(rows: tf.Tensor) -> list[list[int]]:
    return [[i for i in row if i] for row in rows.numpy().tolist()]


def test_words_are_what_may_begin_one(tokenizer: SentencePieceTokenizer) -> None:
    assert tokenizer.words == ["", "red", "re", "mug", "query"]


@pytest.mark.parametrize("text", ["red mug", "  red   mug ", "红色杯", "色红", "mud 红 red:杯"])
def test_pieces_are_the_likeliest_ones(tokenizer: SentencePieceTokenizer, text: str) -> None:
    (row,) = unpadded(tokenizer(tf.constant([text]), length=30))

    assert row == [2, *reference(text), 3]


def test_characters_are_mapped_before(tokenizer: SentencePieceTokenizer) -> None:
    found = unpadded(tokenizer(tf.constant(["ｒｅｄ\u3000杯", "ﾊ", "red\u200dmug"]), length=12))

    assert found == unpadded(tokenizer(tf.constant(["red 杯", "ハ", "red mug"]), length=12))
    assert len(SPECIAL) + PIECES.index("ハ") in found[1]


def test_rows_are_cut_and_padded(tokenizer: SentencePieceTokenizer) -> None:
    rows = tokenizer(tf.constant(["red mug red", "", "ξ"]), length=4).numpy().tolist()

    red, mug = (len(SPECIAL) + PIECES.index(piece) for piece in ("▁red", "▁mug"))
    assert rows == [[2, red, mug, 3], [2, 3, 0, 0], [2, len(SPECIAL), 1, 3]]


def test_length_is_known_while_a_graph_is_traced() -> None:
    @tf.function
    def tokenise(texts: tf.Tensor) -> tf.Tensor:
        # As Transform makes it, inside the function.
        return SentencePieceTokenizer(MODEL, usage=EncoderUsage(query_prefix="query: ")).queries(
            texts, length=6
        )

    function = tokenise.get_concrete_function(tf.TensorSpec([None], tf.string))
    prefix = [len(SPECIAL) + PIECES.index(piece) for piece in ("▁query", ":")]

    assert function.output_shapes.as_list() == [None, 8]
    assert function(tf.constant(["red"])).numpy()[0, :3].tolist() == [2, *prefix]


def test_texts_are_read_without_tensorflow_as_in_the_graph(
    tokenizer: SentencePieceTokenizer, tmp_path: Path
) -> None:
    (tmp_path / "sentencepiece.model").write_bytes(MODEL)
    reader = text_reader(str(tmp_path), 5)
    assert reader is not None

    read = reader.read(TEXTS)

    whole = unpadded(tokenizer(tf.constant(TEXTS), length=40))
    assert piece_reader(MODEL)(TEXTS) == [row[1:-1] for row in whole]
    assert [list(row) for row in read.rows] == [row[1:-1][:3] for row in whole]
    np.testing.assert_array_equal(read.num_unknown, [row.count(1) for row in whole])
    np.testing.assert_array_equal(read.is_cut, [len(row) > 5 for row in whole])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    usage = EncoderUsage(query_prefix="query: ", text_prefix="red ")
    tokenizer = SentencePieceTokenizer(MODEL, usage=usage)
    tokenizer.save(str(tmp_path))

    loaded = load_tokenizer(str(tmp_path))

    assert loaded.vocabulary == tokenizer.vocabulary == tuple(pieces_of(MODEL)) == (*SPECIAL, *PIECES)
    for mine, theirs in ((loaded, tokenizer), (loaded.queries, tokenizer.queries)):
        np.testing.assert_array_equal(
            mine(tf.constant(TEXTS), length=9), theirs(tf.constant(TEXTS), length=9)
        )


def test_folder_with_a_piece_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "sentencepiece.model").write_bytes(MODEL)
    # Without these it is no encoder's folder.
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    EncoderUsage(text_prefix="red: ").save(tmp_path)

    tokenizer = Tokenizer.from_pretrained(str(tmp_path))

    (row,) = unpadded(tokenizer(tf.constant(["杯"]), length=9))
    assert row == [2, *(len(SPECIAL) + PIECES.index(piece) for piece in ("▁red", ":", "▁", "杯")), 3]


def test_model_is_saved_once_and_stock_servers_load_it(
    tokenizer: SentencePieceTokenizer, tmp_path: Path
) -> None:
    from serving.compatibility.check import check_compatibility

    module = tf.Module()
    module.tokenizer = tokenizer
    spec = tf.TensorSpec([None], tf.string)
    signatures = {
        name: tf.function(lambda texts: {"ids": tokenizer(texts, length=6)}).get_concrete_function(spec)
        for name in ("one", "two")
    }
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)

    found = check_compatibility(tmp_path)
    loaded = tf.saved_model.load(str(tmp_path)).signatures["two"](tf.constant(["red mug"]))["ids"]

    assert found.versions[0] == "2.16"
    assert {use.op for use in found.ops} >= {"TFText>FastSentencepieceTokenize"}
    assert (tmp_path / "variables").is_dir()
    np.testing.assert_array_equal(loaded, tokenizer(tf.constant(["red mug"]), length=6))
