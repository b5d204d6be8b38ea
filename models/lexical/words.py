"""Words of texts, in core TensorFlow ops: the catalogue and a query are split by the same graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import bm25s.stopwords
import pyarrow as pa
import tensorflow as tf

# Letters, the marks that belong to them, digits and underscores.
_WORD = r"[\p{L}\p{M}\p{N}_]+"
# Scripts without spaces between words: a run of their characters is indexed by its pairs of characters.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\x{30FC}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_SEPARATOR = "\x1f"
_GRAM_LENGTH = 4
# What is longer is no word that people search by; cut, so that a request cannot ask for all memory.
_MAX_LETTERS = 64
# Words of a query that count; the encoder takes no more either.
MAX_QUERY_WORDS = 64
_BATCH = 16_384

# What turns the words behind it into ones that are not wanted.
_NEGATORS = {
    "english": ("without", "no", "not", "non", "except"),
    "german": ("ohne", "kein", "keine", "keinen", "nicht", "außer"),
    "french": ("sans", "pas", "sauf"),
    "spanish": ("sin", "no", "excepto"),
    "italian": ("senza", "non", "eccetto"),
    "portuguese": ("sem", "não", "exceto"),
    "dutch": ("zonder", "geen", "niet", "behalve"),
}


class Pieces(NamedTuple):
    """Pieces of texts, one after the other.

    Attributes:
        flat: string ``[n]``.
        rows: int32 ``[n]``, which text each is of.
        places: int32 ``[n]``, the number of each in its text, from 0.
    """

    flat: tf.Tensor
    rows: tf.Tensor
    places: tf.Tensor

    def where(self, is_kept: tf.Tensor) -> Pieces:
        """Those of which bool ``[n]`` is true."""
        kept = tf.where(is_kept)[:, 0]
        return Pieces(*(tf.gather(values, kept) for values in self))


def split_words(texts: tf.Tensor) -> Pieces:
    """The lower-case words of string ``[batch]`` texts.

    A run of characters of a script without spaces gives its overlapping pairs of characters.
    """
    # The end of a text to the op that turns it into lower case.
    texts = tf.strings.regex_replace(texts, "\x00", " ")
    lower = tf.strings.lower(texts, encoding="utf-8")
    spaced = tf.strings.regex_replace(lower, r"[^\p{L}\p{M}\p{N}_]+", " ")
    has_pairs = tf.strings.regex_full_match(spaced, f"(?s).*[{_UNSPACED}].*")
    return Pieces(
        *tf.cond(
            tf.reduce_any(has_pairs), lambda: tuple(_with_pairs(spaced)), lambda: tuple(_split(spaced, ""))
        )
    )


def _split(texts: tf.Tensor, separator: str) -> Pieces:
    # The raw op says of each piece whose it is; the ragged tensor around it is many ops more.
    found = tf.raw_ops.StringSplitV2(input=texts, sep=separator)
    where = tf.cast(found.indices, tf.int32)
    return Pieces(found.values, where[:, 0], where[:, 1])


def _with_pairs(spaced: tf.Tensor) -> Pieces:
    apart = tf.strings.regex_replace(spaced, f"([{_UNSPACED}]+)", r" \1 ")
    marked = tf.strings.regex_replace(apart, f"([{_UNSPACED}])", rf"\1{_SEPARATOR}")
    # Spaces alone leave no word, and neither may a separator at a word's end leave an empty character.
    words = tf.strings.split(marked)
    flat = tf.strings.regex_replace(words.flat_values, f"{_SEPARATOR}$", "")
    characters = tf.strings.split(flat, sep=_SEPARATOR)
    pairs = tf.strings.ngrams(characters, 2, separator="", preserve_short_sequences=True)
    merged = words.with_flat_values(pairs).merge_dims(1, 2)
    rows = tf.cast(merged.value_rowids(), tf.int32)
    starts = tf.gather(tf.cast(merged.row_starts(), tf.int32), rows)
    return Pieces(merged.flat_values, rows, tf.range(tf.size(rows)) - starts)


def split_pieces(texts: tf.Tensor) -> tuple[Pieces, tf.Tensor]:
    """Texts cut into words and what is between them, so that all pieces joined are the text again.

    Returns:
        The pieces, and bool ``[n]``, which of them are words of a script with spaces.
    """
    cut = tf.strings.regex_replace(texts, f"({_WORD})", rf"{_SEPARATOR}\1{_SEPARATOR}")
    pieces = _split(cut, _SEPARATOR)
    is_word = tf.strings.regex_full_match(pieces.flat, _WORD)
    return pieces, is_word & ~tf.strings.regex_full_match(pieces.flat, f".*[{_UNSPACED}].*")


def grams(words: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The character 4-grams of ``_word_`` for string ``[n]`` words.

    Returns:
        string ``[m]``, and int32 ``[m]``, which word each is of.
    """
    words = tf.strings.substr(words, 0, _MAX_LETTERS, unit="UTF8_CHAR")
    letters = tf.raw_ops.UnicodeDecode(
        input=tf.strings.join(["_", words, "_"]),
        input_encoding="UTF-8",
        errors="ignore",
        Tsplits=tf.int32,
    )
    characters = tf.raw_ops.UnicodeEncode(
        input_values=letters.char_values,
        input_splits=tf.range(tf.size(letters.char_values) + 1),
        output_encoding="UTF-8",
    )
    made = tf.raw_ops.StringNGrams(
        data=characters,
        data_splits=letters.row_splits,
        separator="",
        ngram_widths=[_GRAM_LENGTH],
        left_pad="",
        right_pad="",
        pad_width=0,
        preserve_short_sequences=True,
    )
    return made.ngrams, owners(made.ngrams_splits, tf.size(made.ngrams))


def owners(splits: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The row of each value of a ragged tensor: int32 ``[count]``.

    Args:
        splits: int32 ``[num_rows + 1]``, where each row begins and the last one ends.
        count: int32 ``[]``, of values.
    """
    values = tf.range(count)[None]
    return tf.raw_ops.UpperBound(sorted_inputs=splits[None], values=values)[0] - 1


def words_of_catalogue(texts: Sequence[str | bytes]) -> tuple[pa.DictionaryArray, tf.Tensor]:
    """The words of many texts.

    Returns:
        The words of all texts, one after the other, as a dictionary array of binary; and how many each text
        has, int64 ``[num_texts]``.
    """
    chunks, counts = [], []
    for start in range(0, len(texts), _BATCH):
        words = split_words(tf.constant(list(texts[start : start + _BATCH]), tf.string))
        chunks.append(pa.array(words.flat.numpy(), pa.binary()).dictionary_encode())
        num_texts = len(texts[start : start + _BATCH])
        counts.append(tf.math.bincount(words.rows, minlength=num_texts, dtype=tf.int64))
    if not chunks:
        return pa.array([], pa.binary()).dictionary_encode(), tf.zeros([0], tf.int64)
    return pa.chunked_array(chunks).unify_dictionaries().combine_chunks(), tf.concat(counts, axis=0)


def stop_words(language: str) -> frozenset[bytes]:
    """Words that say nothing of an item; none where no list is known."""
    name = "EN" if language == "english" else language.upper()
    return frozenset(word.encode() for word in getattr(bm25s.stopwords, f"STOPWORDS_{name}", ()))


def negators(language: str) -> tuple[str, ...]:
    """Words such as "without"; none where none are known."""
    return _NEGATORS.get(language, ())
