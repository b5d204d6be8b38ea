"""The reading of texts as the encoder's tokens without TensorFlow, for the check of a dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from dataset.legibility import TextReader, TokenRows
from models.packages.piece_model import UNK, piece_reader
from models.pretrained import (
    MULTILINGUAL_ENCODER,
    PIECES_FILE,
    REQUIRED_FILES,
    VOCABULARY_FILE,
    local_encoder,
)

_UNK, _SPECIAL = "[UNK]", 2
# A word has at most a hundred letters, but few texts have so long ones: what is behind is not looked at.
_CHARS_PER_TOKEN = 16
_Encode = Callable[[list[str]], list[list[int]]]


def text_reader(encoder: str, max_text_tokens: int) -> TextReader | None:
    """How an encoder reads the texts of items.

    Args:
        encoder: As `resolve_encoder` takes it.
        max_text_tokens: Tokens of an item's text, the two special ones included.

    Returns:
        The reader, which looks at the first thousands of letters of a text; ``None`` if the encoder's
        vocabulary is not on this machine.
    """
    folder = local_encoder(encoder)
    paths = [] if folder is None else [Path(folder) / name for name in REQUIRED_FILES["vocabulary"]]
    path = next((path for path in paths if path.is_file()), None)
    if folder is None or path is None:
        return None
    encode, unknown = _encode_of(Path(folder), path)
    max_tokens, max_chars = max_text_tokens - _SPECIAL, max_text_tokens * _CHARS_PER_TOKEN

    def read(texts: list[str]) -> TokenRows:
        found = [np.array(ids, np.int64) for ids in encode([text[:max_chars] for text in texts])]
        return TokenRows(
            rows=[tuple(ids[:max_tokens].tolist()) for ids in found],
            lengths=np.array([len(ids) for ids in found]),
            num_unknown=np.array([int((ids == unknown).sum()) for ids in found]),
            is_cut=np.array([len(ids) > max_tokens for ids in found]),
        )

    return TextReader(
        encoder=encoder,
        max_text_tokens=max_text_tokens,
        read=read,
        multilingual="" if encoder == MULTILINGUAL_ENCODER else MULTILINGUAL_ENCODER,
    )


def word_pieces(vocabulary: list[str], lowercase: bool) -> Tokenizer:
    """BERT's tokeniser without the special tokens.

    Args:
        vocabulary: WordPieces, in the order of their ids.
        lowercase: Lower the case and strip accents.
    """
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token=_UNK))
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def _encode_of(folder: Path, path: Path) -> tuple[_Encode, int | None]:
    """What turns texts into ids, and the id of what has no token, if there is one."""
    if path.name == PIECES_FILE:
        return piece_reader(path.read_bytes()), UNK
    pieces = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    tokenizer = word_pieces(pieces, _is_uncased(folder, path))

    def encode(texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]

    return encode, tokenizer.token_to_id(_UNK)


def _is_uncased(folder: Path, vocabulary: Path) -> bool:
    if vocabulary.name == VOCABULARY_FILE:
        path = folder / "tokenizer_config.json"
        return not path.is_file() or bool(_read_json(path).get("do_lower_case", True))
    # As keras-hub writes it, and reads it if it is not there.
    return bool(_read_json(folder / "tokenizer.json")["config"].get("lowercase", False))


def _read_json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
