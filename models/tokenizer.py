"""WordPiece tokenisation inside the graph, the same in Transform, training and serving."""

from __future__ import annotations

import functools
import json
import os

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

from models.pretrained import VOCABULARY_FILE, resolve_encoder

PAD, UNK, CLS, SEP = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
_MAX_BYTES_PER_WORD = 100


class Tokenizer(tf.Module):
    """BERT's uncased tokenisation of one text: ``[CLS] pieces [SEP]``, cut and padded.

    Built on TF-Text's `FastBertTokenizer`, whose ops every stock TF Serving since 2.16 links; keras-hub's
    packer needs 2.20 (its round-robin trimmer is an op of its own).

    Args:
        vocabulary: WordPieces, in the order of their ids.
        lowercase: Lower the case and strip accents, as the uncased BERTs were trained.

    Example:
        >>> tokenizer = Tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "tea", "##pot"])
        >>> tokenizer(tf.constant(["Teapot"]), length=6).numpy().tolist()
        [[2, 4, 5, 3, 0, 0]]
    """

    def __init__(self, vocabulary: list[str], *, lowercase: bool = True) -> None:
        super().__init__(name="tokenizer")
        position = {piece: i for i, piece in enumerate(vocabulary)}
        for piece in (PAD, UNK, CLS, SEP):
            if piece not in position:
                raise ValueError(
                    f"The vocabulary must hold {piece}. Received: {len(vocabulary)} pieces without it."
                )
        self.vocabulary, self.lowercase = tuple(vocabulary), lowercase
        self._pad, self._cls, self._sep = position[PAD], position[CLS], position[SEP]
        # Given no buffers, TF-Text would build them, and make constants of them byte by byte in Python, every
        # time a graph is traced: most of the time that TFX Transform takes.
        wordpiece, normalizer = _model_buffers(self.vocabulary, lowercase)
        self._fast = tf_text.FastBertTokenizer(
            token_out_type=tf.int32,
            fast_wordpiece_model_buffer=tf.constant(wordpiece),
            fast_bert_normalizer_model_buffer=tf.constant(normalizer),
        )

    @classmethod
    def from_pretrained(cls, name: str) -> Tokenizer:
        """Reads the vocabulary of what `resolve_encoder` finds under a name."""
        name = resolve_encoder(name)
        path = os.path.join(name, VOCABULARY_FILE)
        if not tf.io.gfile.exists(path):
            preset = keras_hub.models.BertTokenizer.from_preset(name)
            return cls(preset.get_vocabulary(), lowercase=preset.lowercase)
        with tf.io.gfile.GFile(path) as file:
            return cls([line.rstrip("\n") for line in file], lowercase=_is_uncased(name))

    def __call__(self, texts: tf.Tensor, *, length: int) -> tf.Tensor:
        """Tokenises.

        Args:
            texts: string ``[batch]``.
            length: Tokens of each row, the two special ones included.

        Returns:
            int32 ``[batch, length]``, padded with the id of ``[PAD]``.
        """
        pieces = self._fast.tokenize(texts)
        if pieces.shape.rank == 3:
            pieces = pieces.merge_dims(-2, -1)
        # Dense at once: ragged tensors joined are fifty ops, many of them checks of what holds anyway.
        end = tf.minimum(tf.cast(pieces.row_lengths(), tf.int32), length - 2) + 1
        dense = tf.pad(
            pieces.to_tensor(self._pad, shape=[None, length - 2]), [[0, 0], [1, 1]], constant_values=self._pad
        )
        place = tf.range(length)
        row = tf.where(place == end[:, None], self._sep, tf.where(place == 0, self._cls, dense))
        return tf.ensure_shape(row, [None, length])


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
