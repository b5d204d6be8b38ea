"""SentencePiece tokenisation inside the graph (Kudo and Richardson 2018)."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_text.core.pybinds.pywrap_model_converter import convert_sentencepiece_model
from tensorflow_text.python.ops.fast_sentencepiece_tokenizer import gen_fast_sentencepiece_tokenizer

from models.encoder_usage import EncoderUsage
from models.packages.piece_model import BEGIN, END, JOINER, PAD, SPACE, piece_reader, pieces_of
from models.pretrained import PIECES_FILE
from models.text_tokenizer import TextTokenizer


class SentencePieceTokenizer(TextTokenizer):
    """The tokenisation of one text: ``<s> pieces </s>``, cut and padded.

    It is TF-Text's `TFText>FastSentencepieceTokenize`, which every stock TF Serving since 2.16 links. The op
    takes its model as a tensor, so that there is no resource to be restored. Its Python class is passed by:
    that one takes ten seconds to make a list of so large a model.

    Args:
        model: SentencePiece's model file, as `models.packages.piece_model` makes it.
        usage: What texts begin with; nothing by default.
    """

    def __init__(self, model: bytes, *, usage: EncoderUsage | None = None) -> None:
        self._file = model
        super().__init__(pieces_of(model), pad=PAD, begin=BEGIN, end=END, usage=usage)
        converted = _converted(model)
        # A constant has a copy in every signature; but variables cannot be made while Transform traces.
        self._model = (
            tf.Variable(converted, trainable=False) if tf.executing_eagerly() else tf.constant(converted)
        )

    @property
    def words(self) -> list[str]:
        """The pieces that may begin a word, in lower case."""
        return [piece[1:].lower() for piece in self.vocabulary if piece.startswith(SPACE)]

    def _pieces(self, texts: tf.Tensor) -> tf.RaggedTensor:
        joined = tf.strings.regex_replace(texts, JOINER, " ")
        ids, splits = gen_fast_sentencepiece_tokenizer.tf_text_fast_sentencepiece_tokenize(
            tf.convert_to_tensor(self._model), joined, 0, 0, False, False, False
        )
        return tf.RaggedTensor.from_row_splits(ids, splits, validate=False)

    def _ids(self, text: str) -> np.ndarray:
        return np.array(piece_reader(self._file)([text])[0], np.int32)

    def _save_pieces(self, folder: str) -> dict[str, Any]:
        with tf.io.gfile.GFile(os.path.join(folder, PIECES_FILE), "wb") as file:
            file.write(self._file)
        return {}


@functools.lru_cache(maxsize=2)
def _converted(model: bytes) -> np.ndarray:
    """The model as the op takes it: uint8 ``[n]``."""
    return np.frombuffer(bytes(convert_sentencepiece_model(model)), np.uint8)
