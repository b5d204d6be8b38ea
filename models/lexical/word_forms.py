"""Stems by table: the forms of a word that a query may have, each with its term."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import Stemmer
import tensorflow as tf

from dataset.contract import STEMMED_LANGUAGES
from models.lexical.words import stop_words

# Endings that fewer words of the catalogue have are chance.
_MIN_ENDING_WORDS = 2
_MAX_ENDINGS = 10
_UNKNOWN = -1
_Stem = Callable[[list[bytes]], list[bytes]]


class WordForms(tf.Module):
    """Finds the term of a word: its stem, by a table of forms, as a graph cannot stem.

    The table has the catalogue's words and, of each, the forms with the catalogue's commonest endings that
    have the same stem. Stop words have no term.

    Args:
        words: The distinct words of the catalogue, bytes.
        language: One of `dataset.contract.LANGUAGES`.

    Attributes:
        terms: int32 ``[num_words]``, the term of each word, -1 for a stop word.
        num_terms: How many there are.
    """

    def __init__(self, words: Sequence[bytes], language: str) -> None:
        super().__init__(name="word_forms")
        stop = stop_words(language)
        stem = _stemmer(language)
        kept = [word for word in words if word not in stop]
        rows: dict[bytes, int] = {}
        forms = {
            word: rows.setdefault(found, len(rows)) for word, found in zip(kept, stem(kept), strict=True)
        }
        self.num_terms = len(rows)
        self.terms = np.array([forms.get(word, _UNKNOWN) for word in words], np.int32)
        if language in STEMMED_LANGUAGES:
            made = sorted(_generated(kept, stem) - forms.keys() - stop)
            forms |= {
                form: rows[found] for form, found in zip(made, stem(made), strict=True) if found in rows
            }
        # A table must not be empty: nothing is no word.
        forms[b""] = _UNKNOWN
        self._table = _table(list(forms), list(forms.values()))
        self._stop = _table([b"", *sorted(stop)], [_UNKNOWN] + [0] * len(stop))

    def __call__(self, words: tf.Tensor) -> tf.Tensor:
        """Terms of lower-case words, -1 for unknown ones and stop words: int32 of any shape."""
        return self._table.lookup(words)

    def is_stop_word(self, words: tf.Tensor) -> tf.Tensor:
        """Whether words say nothing: bool of any shape."""
        return self._stop.lookup(words) >= 0


def _table(keys: list[bytes], values: list[int]) -> tf.lookup.StaticHashTable:
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.constant(values, tf.int32))
    return tf.lookup.StaticHashTable(pairs, _UNKNOWN)


def _stemmer(language: str) -> _Stem:
    """A function from words to their stems, both lists of bytes."""
    if language not in STEMMED_LANGUAGES:
        return list
    stemmer = Stemmer.Stemmer(language)
    return lambda words: [stem.encode() for stem in stemmer.stemWords([word.decode() for word in words])]


def _generated(words: list[bytes], stem: _Stem) -> set[bytes]:
    """Words and beginnings of words with the catalogue's commonest endings."""
    texts = [word.decode() for word in words if word.decode().isalpha()]
    stems = [found.decode() for found in stem([text.encode() for text in texts])]
    common = [_common_start(*pair) for pair in zip(texts, stems, strict=True)]
    counts = Counter(text[len(begin) :] for text, begin in zip(texts, common, strict=True))
    endings = [
        ending for ending, count in counts.most_common(_MAX_ENDINGS) if ending and count >= _MIN_ENDING_WORDS
    ]
    # A stem's last letter may be another one in the word, as of "parti" and "party".
    beginnings = {*texts, *stems, *common, *(found[:-1] for found in stems)}
    return {(begin + ending).encode() for begin in beginnings for ending in ["", *endings] if begin}


def _common_start(first: str, second: str) -> str:
    length = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    return first[:length] if length is not None else min(first, second, key=len)
