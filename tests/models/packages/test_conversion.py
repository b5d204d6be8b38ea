from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dataset.errors import DataError
from models.packages.conversion import convert, digest_of
from models.pretrained import MULTILINGUAL_ENCODER
from tests.models.packages.test_packed_e5 import PIECES, write


def test_digest_is_of_names_shapes_and_values() -> None:
    weights = {"a": np.arange(6, dtype=np.float32), "b": np.zeros(2, np.float32)}
    others = (
        {"a": weights["a"], "c": weights["b"]},
        {"a": weights["a"].reshape(2, 3), "b": weights["b"]},
        {"a": weights["a"] + 1, "b": weights["b"]},
        {"a": weights["a"]},
    )

    digests = {digest_of(other) for other in others}

    assert len(digests) == 4
    assert digest_of(dict(reversed(weights.items()))) == digest_of(weights)
    assert digest_of(weights) not in digests


def test_other_weights_than_before_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "e5-small-q4.bin")

    with pytest.raises(DataError, match=r"weights of e5-small-multilingual must have the digest 00\."):
        convert(MULTILINGUAL_ENCODER, tmp_path, tmp_path / "folder", digest="00")


def test_embeddings_are_in_the_order_of_the_pieces(tmp_path: Path) -> None:
    from models.packages.piece_model import pieces_of
    from models.text_encoder import TextEncoder
    from models.tokenizer import Tokenizer

    rows = write(tmp_path / "e5-small-q4.bin")["emb.word"]
    folder = tmp_path / "folder"
    with pytest.raises(DataError) as error:
        convert(MULTILINGUAL_ENCODER, tmp_path, tmp_path / "refused", digest="00")
    digest = str(error.value).split("Got ")[1].split(";")[0]

    convert(MULTILINGUAL_ENCODER, tmp_path, folder, digest=digest)

    pieces = pieces_of((folder / "sentencepiece.model").read_bytes())
    encoder = TextEncoder.from_pretrained(str(folder))
    words = np.asarray(encoder.backbone.token_embedding.embeddings)
    assert len(pieces) == len(words) == len(PIECES) - 1
    for piece, row in zip(pieces, words, strict=True):
        np.testing.assert_allclose(row, rows[PIECES.index(piece)], rtol=1e-6)
    tokenizer = Tokenizer.from_pretrained(str(folder))
    assert (tokenizer.usage.query_prefix, tokenizer.usage.text_prefix) == ("query: ", "passage: ")
