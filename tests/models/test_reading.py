from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from dataset.legibility import joined
from models.preprocessing import _joined
from models.pretrained import DEFAULT_ENCODER
from models.reading import text_reader
from models.tokenizer import CLS, PAD, SEP, UNK, Tokenizer

TEXTS = [
    "Red lamp, 40 cm (E27)",
    "CAFÉ naïve RÖSTI",
    "โคมไฟสีแดง",
    "我喜欢 tea",
    "unbelievable teapots " * 9,
    "a\u200bb\tc\nd",
    "😀 smile",
    "x" * 120,
    "",
]
LENGTH = 16


def test_texts_are_read_as_in_the_graph() -> None:
    tokenizer = Tokenizer.from_pretrained(DEFAULT_ENCODER)
    reader = text_reader(DEFAULT_ENCODER, LENGTH)
    assert reader is not None
    special = [tokenizer.vocabulary.index(piece) for piece in (PAD, CLS, SEP)]

    read = reader.read(TEXTS)

    in_graph = tokenizer(tf.constant(TEXTS), length=LENGTH).numpy()
    assert [list(row) for row in read.rows] == [[i for i in row if i not in special] for row in in_graph]
    whole = tokenizer(tf.constant(TEXTS), length=200).numpy()
    np.testing.assert_array_equal(read.lengths, (~np.isin(whole, special)).sum(axis=1))
    np.testing.assert_array_equal(read.is_cut, (whole != 0).sum(axis=1) > LENGTH)
    np.testing.assert_array_equal(read.num_unknown, (whole == tokenizer.vocabulary.index(UNK)).sum(axis=1))


def test_default_encoder_names_the_one_that_reads_more_languages() -> None:
    reader = text_reader(DEFAULT_ENCODER, LENGTH)

    assert reader is not None
    assert reader.multilingual == "e5-small-multilingual"


def test_case_is_kept_where_the_encoder_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([PAD, UNK, CLS, SEP, "tea", "Tea"]))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))

    reader = text_reader(str(tmp_path), 8)

    assert reader is not None
    assert reader.read(["Tea tea TEA"]).rows == [(5, 4, 1)]


@pytest.mark.parametrize(("config", "rows"), [({"lowercase": True}, (4, 4)), ({}, (1, 4))])
def test_folder_of_keras_hub_is_read(tmp_path: Path, config: dict[str, bool], rows: tuple[int, ...]) -> None:
    vocabulary = tmp_path / "assets" / "tokenizer" / "vocabulary.txt"
    vocabulary.parent.mkdir(parents=True)
    vocabulary.write_text("\n".join([PAD, UNK, CLS, SEP, "tea"]))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"config": config}))

    reader = text_reader(str(tmp_path), 8)

    assert reader is not None
    assert reader.read(["Tea tea"]).rows == [rows]


def test_encoder_that_is_not_here_has_no_reader() -> None:
    assert text_reader("bert_tiny_en_uncased", 32) is None


def test_texts_are_joined_as_transform_joins_them() -> None:
    columns = {
        "title": ["Lamp", "Lamp.", "", " ", "Lamp. .", "a\nb"],
        "body": ["Red. ", "", "Blue", "\t", " . ", "Größe "],
        "more": ["", "x", "", "", "", "?"],
    }

    in_graph = _joined([tf.constant(texts) for texts in columns.values()]).numpy()

    assert joined(pa.record_batch(columns)) == [text.decode() for text in in_graph.tolist()]
