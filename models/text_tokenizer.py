"""Tokenisation inside the graph, the same in Transform, training and serving: pieces packed into rows."""

from __future__ import annotations

import abc
import json
import os
from typing import Any

import numpy as np
import tensorflow as tf

from models.encoder_usage import EncoderUsage

SETTINGS_FILE = "tokenizer_settings.json"
# As many positions as the encoders have.
_MAX_LENGTH = 512


class TextTokenizer(tf.Module, abc.ABC):
    """A text's pieces between two special tokens, behind what the encoder wants it to begin with.

    Args:
        vocabulary: Pieces, in the order of their ids.
        pad: The id that fills rows up.
        begin: The id that begins a row.
        end: The id that ends the tokens of a row.
        usage: Of the encoder.
    """

    def __init__(
        self, vocabulary: list[str], *, pad: int, begin: int, end: int, usage: EncoderUsage | None
    ) -> None:
        super().__init__(name="tokenizer")
        self.vocabulary, self.usage = tuple(vocabulary), usage or EncoderUsage()
        self._pad, self._begin, self._end = pad, begin, end
        self._query_prefix, self._text_prefix = (
            self._ids(prefix) if prefix else np.zeros(0, np.int32)
            for prefix in (self.usage.query_prefix, self.usage.text_prefix)
        )

    @property
    def words(self) -> list[str]:
        """The pieces that are whole words, in lower case, and some that are no words at all."""
        return list(self.vocabulary)

    @property
    def num_query_prefix(self) -> int:
        """How many tokens each query begins with, behind the special one."""
        return len(self._query_prefix)

    def __call__(self, texts: tf.Tensor, *, length: int) -> tf.Tensor:
        """Tokenises texts of items.

        Args:
            texts: string ``[batch]``.
            length: Tokens of each row, the two special ones included; what each begins with comes on top.

        Returns:
            int32 ``[batch, length + prefix]``, padded with the id of the padding; 512 at most.
        """
        return self._packed(texts, self._text_prefix, length)

    def queries(self, texts: tf.Tensor, *, length: int) -> tf.Tensor:
        """Tokenises queries, likewise."""
        return self._packed(texts, self._query_prefix, length)

    def save(self, folder: str) -> None:
        """Writes what `models.tokenizer.load_tokenizer` reads."""
        settings = {
            "query_prefix": self.usage.query_prefix,
            "text_prefix": self.usage.text_prefix,
            **self._save_pieces(folder),
        }
        with tf.io.gfile.GFile(os.path.join(folder, SETTINGS_FILE), "w") as file:
            json.dump(settings, file)

    @abc.abstractmethod
    def _pieces(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """The ids of string ``[batch]`` texts: int32, ragged ``[batch, None]``."""

    @abc.abstractmethod
    def _ids(self, text: str) -> np.ndarray:
        """The ids of one text outside any graph: int32 ``[n]``."""

    @abc.abstractmethod
    def _save_pieces(self, folder: str) -> dict[str, Any]:
        """Writes the pieces, and returns settings to be written beside them."""

    def _packed(self, texts: tf.Tensor, prefix: np.ndarray, length: int) -> tf.Tensor:
        length = min(length + len(prefix), _MAX_LENGTH)
        first = 1 + len(prefix)
        pieces = self._pieces(texts)
        # Dense at once: ragged tensors joined are fifty ops, many of them checks of what holds anyway.
        end = tf.minimum(tf.cast(pieces.row_lengths(), tf.int32), length - first - 1) + first
        dense = tf.pad(
            pieces.to_tensor(self._pad, shape=[None, length - first - 1]),
            [[0, 0], [first, 1]],
            constant_values=self._pad,
        )
        place = tf.range(length)
        start = np.pad([self._begin, *prefix], (0, length - first), constant_values=self._pad)
        row = tf.where(place < first, tf.constant(start, tf.int32), dense)
        return tf.ensure_shape(tf.where(place == end[:, None], self._end, row), [None, length])
