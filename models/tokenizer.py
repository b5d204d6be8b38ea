"""WordPiece tokenisation, and the tokeniser of an encoder by its name or from files."""

from __future__ import annotations

import functools
import json
import os
from typing import Any

import keras_hub
import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.core.pybinds.pywrap_fast_bert_normalizer_model_builder import (
    build_fast_bert_normalizer_model,
)
from tensorflow_text.core.pybinds.pywrap_fast_wordpiece_tokenizer_model_builder import (
    build_fast_wordpiece_model,
)

from models.encoder_usage import EncoderUsage
from models.pretrained import PIECES_FILE, VOCABULARY_FILE, resolve_encoder
from models.reading import word_pieces
from models.sentence_pieces import SentencePieceTokenizer
from models.text_tokenizer import SETTINGS_FILE, TextTokenizer

PAD, UNK, CLS, SEP = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
_MAX_BYTES_PER_WORD = 100


class Tokenizer(TextTokenizer):
    """BERT's uncased tokenisation of one text: ``[CLS] pieces [SEP]``, cut and padded.

    Built on TF-Text's `FastBertTokenizer`, whose ops every stock TF Serving since 2.16 links; keras-hub's
    packer needs 2.20 (its round-robin trimmer is an op of its own).

    Args:
        vocabulary: WordPieces, in the order of their ids.
        lowercase: Lower the case and strip accents, as the uncased BERTs were trained.
        usage: What texts begin with; nothing by default.

    Example:
        >>> tokenizer = Tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "tea", "##pot"])
        >>> tokenizer(tf.constant(["Teapot"]), length=6).numpy().tolist()
        [[2, 4, 5, 3, 0, 0]]
    """

    def __init__(
        self, vocabulary: list[str], *, lowercase: bool = True, usage: EncoderUsage | None = None
    ) -> None:
        position = {piece: i for i, piece in enumerate(vocabulary)}
        for piece in (PAD, UNK, CLS, SEP):
            if piece not in position:
                raise ValueError(
                    f"The vocabulary must hold {piece}. Received: {len(vocabulary)} pieces without it."
                )
        self.lowercase = lowercase
        super().__init__(vocabulary, pad=position[PAD], begin=position[CLS], end=position[SEP], usage=usage)
        # Given no buffers, TF-Text would build them, and make constants of them byte by byte in Python, every
        # time a graph is traced: most of the time that TFX Transform takes.
        wordpiece, normalizer = _model_buffers(self.vocabulary, lowercase)
        self._fast = tf_text.FastBertTokenizer(
            token_out_type=tf.int32,
            fast_wordpiece_model_buffer=tf.constant(wordpiece),
            fast_bert_normalizer_model_buffer=tf.constant(normalizer),
        )

    @classmethod
    def from_pretrained(cls, name: str) -> TextTokenizer:
        """Reads the pieces of what `resolve_encoder` finds under a name."""
        folder = resolve_encoder(name)
        usage = EncoderUsage.of_folder(folder)
        if tf.io.gfile.exists(os.path.join(folder, PIECES_FILE)):
            return SentencePieceTokenizer(_content(os.path.join(folder, PIECES_FILE)), usage=usage)
        path = os.path.join(folder, VOCABULARY_FILE)
        if not tf.io.gfile.exists(path):
            preset = keras_hub.models.BertTokenizer.from_preset(folder)
            return cls(preset.get_vocabulary(), lowercase=preset.lowercase, usage=usage)
        return cls(_lines(path), lowercase=_is_uncased(folder), usage=usage)

    def _pieces(self, texts: tf.Tensor) -> tf.RaggedTensor:
        pieces = self._fast.tokenize(texts)
        return pieces.merge_dims(-2, -1) if pieces.shape.rank == 3 else pieces

    def _ids(self, text: str) -> np.ndarray:
        # TF-Text needs a graph or eager mode, and this may run while another graph is traced.
        return np.array(word_pieces(list(self.vocabulary), self.lowercase).encode(text).ids, np.int32)

    def _save_pieces(self, folder: str) -> dict[str, Any]:
        with tf.io.gfile.GFile(os.path.join(folder, VOCABULARY_FILE), "w") as file:
            file.write("\n".join(self.vocabulary))
        return {"lowercase": self.lowercase}


def load_tokenizer(folder: str) -> TextTokenizer:
    """Reads what `TextTokenizer.save` wrote, on any filesystem."""
    with tf.io.gfile.GFile(os.path.join(folder, SETTINGS_FILE)) as file:
        settings = json.load(file)
    usage = EncoderUsage(query_prefix=settings["query_prefix"], text_prefix=settings["text_prefix"])
    pieces = os.path.join(folder, PIECES_FILE)
    if tf.io.gfile.exists(pieces):
        return SentencePieceTokenizer(_content(pieces), usage=usage)
    vocabulary = _lines(os.path.join(folder, VOCABULARY_FILE))
    return Tokenizer(vocabulary, lowercase=settings["lowercase"], usage=usage)


def _content(path: str) -> bytes:
    with tf.io.gfile.GFile(path, "rb") as file:
        content: bytes = file.read()
    return content


def _lines(path: str) -> list[str]:
    with tf.io.gfile.GFile(path) as file:
        return [line.rstrip("\n") for line in file]


@functools.lru_cache(maxsize=4)
def _model_buffers(vocabulary: tuple[str, ...], lowercase: bool) -> tuple[np.ndarray, np.ndarray]:
    """TF-Text's models of a vocabulary and of a normalisation: uint8 ``[n]`` each."""
    wordpiece = build_fast_wordpiece_model(list(vocabulary), _MAX_BYTES_PER_WORD, "##", UNK, False, False)
    normalizer = build_fast_bert_normalizer_model(lowercase)
    return np.frombuffer(bytes(wordpiece), np.uint8), np.frombuffer(bytes(normalizer), np.uint8)


def _is_uncased(folder: str) -> bool:
    path = os.path.join(folder, "tokenizer_config.json")
    if not tf.io.gfile.exists(path):
        return True
    with tf.io.gfile.GFile(path) as file:
        return bool(json.load(file).get("do_lower_case", True))
