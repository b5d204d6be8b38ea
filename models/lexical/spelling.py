"""Spelling: an unknown word becomes the catalogue's commonest word that is one edit away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from models.lexical.word_forms import WordForms
from models.lexical.words import MAX_QUERY_WORDS, split_pieces

_MIN_LETTERS = 4
_MAX_LETTERS = 32
# In a catalogue with more words than this, a word that one item has is as likely a mistake itself, and half
# of all words are such ones.
_MAX_WORDS = 50_000


class Spelling(tf.Module):
    """Corrects queries by symmetric deletes (Garbe 2012).

    A word and the catalogue's word are one edit apart (a letter more, less, another one, or two neighbours
    swapped) only if they are equal after each has lost at most one letter: those forms of the catalogue's
    words are the table.

    Args:
        words: The distinct words of the catalogue, bytes.
        frequency: int64 ``[num_words]``, in how many items each is.
        forms: What is known already.
        other_words: Words of the language that are right though the catalogue does not have them, in lower
            case: a search for a sofa in a shop without one is not a search for soda.
    """

    def __init__(
        self,
        words: Sequence[bytes],
        frequency: np.ndarray,
        forms: WordForms,
        other_words: Sequence[str] = (),
    ) -> None:
        super().__init__(name="spelling")
        self._forms = forms
        right = sorted({word for word in other_words if len(word) >= _MIN_LETTERS and word.isalpha()})
        self._other_words = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(["", *right]), tf.constant([False] + [True] * len(right))
            ),
            False,
        )
        texts = [word.decode() for word in words]
        fewest = 1 if len(words) <= _MAX_WORDS else 2
        good = [
            row
            for row, text in enumerate(texts)
            if _MIN_LETTERS <= len(text) <= _MAX_LETTERS and text.isalpha() and frequency[row] >= fewest
        ]
        # By frequency, so that the lowest row is the commonest word.
        ordered = [texts[row] for row in sorted(good, key=lambda row: (-frequency[row], texts[row]))]
        rows: dict[str, int] = {}
        for row, text in enumerate(ordered):
            for form in (text, *(text[:i] + text[i + 1 :] for i in range(len(text)))):
                rows.setdefault(form, row)
        self._num_words = len(ordered)
        # Neither a table nor what is gathered from may be empty.
        self._words = tf.Variable([*ordered, ""], trainable=False)
        pairs = tf.lookup.KeyValueTensorInitializer(
            tf.constant([*rows, ""]), tf.constant([*rows.values(), self._num_words], tf.int32)
        )
        self._rows = tf.lookup.StaticHashTable(pairs, self._num_words)

    def __call__(self, queries: tf.Tensor) -> tf.Tensor:
        """The queries with their unknown words corrected, all else as typed: string ``[batch]``."""
        pieces, is_word = split_pieces(queries)
        flat = pieces.flat
        lower = tf.strings.lower(flat, encoding="utf-8")
        length = tf.strings.length(lower, unit="UTF8_CHAR")
        is_unknown = is_word & (length >= _MIN_LETTERS) & (length <= _MAX_LETTERS)
        is_unknown &= tf.strings.regex_full_match(lower, r"[\p{L}\p{M}]+")
        is_unknown &= (self._forms(lower) < 0) & ~self._forms.is_stop_word(lower)
        is_unknown &= ~self._other_words.lookup(lower)
        # Words and what is between them take turns; past those that count nothing is corrected.
        is_unknown &= pieces.places < 2 * MAX_QUERY_WORDS

        def corrected() -> tf.Tensor:
            places = tf.where(is_unknown)
            found = self._nearest(tf.boolean_mask(lower, is_unknown))
            found = tf.where(found == "", tf.boolean_mask(flat, is_unknown), found)
            mended = tf.tensor_scatter_nd_update(flat, places, found)
            return tf.strings.unsorted_segment_join(mended, pieces.rows, tf.size(queries))

        return tf.cond(tf.reduce_any(is_unknown), corrected, lambda: tf.identity(queries))

    def _nearest(self, words: tf.Tensor) -> tf.Tensor:
        """The commonest of the catalogue's words one edit away, "" for none: string ``[n]`` for the same."""
        letters = tf.strings.unicode_split(words, "UTF-8").to_tensor("")
        width = tf.shape(letters)[1]
        is_left_out = tf.eye(width, dtype=tf.bool)[None]
        shorter = tf.strings.reduce_join(tf.where(is_left_out, "", letters[:, None]), axis=2)
        # Past its end a word loses nothing: that is the word itself, which it may need to be.
        rows = self._rows.lookup(tf.concat([shorter, words[:, None]], axis=1))
        near = tf.gather(self._words, rows)
        is_near = _is_one_edit(words, near) & (rows < self._num_words)
        best = tf.reduce_min(tf.where(is_near, rows, self._num_words), axis=1)
        return tf.gather(self._words, best)


def _is_one_edit(words: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Whether pairs that share a form with at most one letter left out are one edit apart.

    They are where the lengths differ. Else one letter is another, or two neighbours are swapped.

    Args:
        words: string ``[n]``.
        others: string ``[n, m]``.

    Returns:
        bool ``[n, m]``.
    """
    m = tf.shape(others)[1]
    pairs = tf.concat([words[:, None], others], axis=1)
    code_points = tf.strings.unicode_decode(tf.reshape(pairs, [-1]), "UTF-8").to_tensor(0)
    code_points = tf.reshape(code_points, [-1, m + 1, tf.shape(code_points)[1]])
    ours, theirs = code_points[:, :1], code_points[:, 1:]
    lengths = [tf.math.count_nonzero(points, axis=2, dtype=tf.int32) for points in (ours, theirs)]
    differs = ours != theirs
    count = tf.math.count_nonzero(differs, axis=2, dtype=tf.int32)
    swapped = tf.roll(theirs, -1, axis=2)
    is_swap = differs & (ours == swapped) & (tf.roll(ours, -1, axis=2) == theirs)
    is_swap &= tf.roll(differs, -1, axis=2)
    same_length = (count <= 1) | ((count == 2) & tf.reduce_any(is_swap, axis=2))
    return tf.where(lengths[0] == lengths[1], same_length, tf.abs(lengths[0] - lengths[1]) == 1)
