"""The reading of texts as the encoder's tokens without TensorFlow, for the check of a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from dataset.legibility import TextReader, TokenRows
from models.pretrained import REQUIRED_FILES, VOCABULARY_FILE, local_encoder

_UNK, _SPECIAL = "[UNK]", 2
# A word has at most a hundred letters, but few texts have so long ones: what is behind is not looked at.
_CHARS_PER_TOKEN = 16


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
    tokenizer = Tokenizer(WordPiece.from_file(str(path), unk_token=_UNK))
    tokenizer.normalizer = BertNormalizer(lowercase=_is_uncased(Path(folder), path))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    unknown, max_tokens = tokenizer.token_to_id(_UNK), max_text_tokens - _SPECIAL
    max_chars = max_text_tokens * _CHARS_PER_TOKEN

    def read(texts: list[str]) -> TokenRows:
        texts = [text[:max_chars] for text in texts]
        found = [np.array(e.ids) for e in tokenizer.encode_batch_fast(texts)]
        return TokenRows(
            rows=[tuple(ids[:max_tokens].tolist()) for ids in found],
            lengths=np.array([len(ids) for ids in found]),
            num_unknown=np.array([int((ids == unknown).sum()) for ids in found]),
            is_cut=np.array([len(ids) > max_tokens for ids in found]),
        )

    return TextReader(encoder=encoder, max_text_tokens=max_text_tokens, read=read)


def _is_uncased(folder: Path, vocabulary: Path) -> bool:
    if vocabulary.name == VOCABULARY_FILE:
        path = folder / "tokenizer_config.json"
        return not path.is_file() or bool(_read_json(path).get("do_lower_case", True))
    # As keras-hub writes it, and reads it if it is not there.
    return bool(_read_json(folder / "tokenizer.json")["config"].get("lowercase", False))


def _read_json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
