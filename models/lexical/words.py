"""Words of texts, in core TensorFlow ops: the catalogue and a query are split by the same graph."""

from __future__ import annotations

from collections.abc import Sequence

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


def split_words(texts: tf.Tensor) -> tf.RaggedTensor:
    """The lower-case words of string ``[batch]`` texts: string ``[batch, (words)]``.

    A run of characters of a script without spaces gives its overlapping pairs of characters.
    """
    lower = tf.strings.lower(texts, encoding="utf-8")
    spaced = tf.strings.regex_replace(lower, r"[^\p{L}\p{M}\p{N}_]+", " ")
    apart = tf.strings.regex_replace(spaced, f"([{_UNSPACED}]+)", r" \1 ")
    marked = tf.strings.regex_replace(apart, f"([{_UNSPACED}])", rf"\1{_SEPARATOR}")
    # Spaces alone leave no word, and neither may a separator at a word's end leave an empty character.
    words = tf.strings.split(marked)
    flat = tf.strings.regex_replace(words.flat_values, f"{_SEPARATOR}$", "")
    characters = tf.strings.split(flat, sep=_SEPARATOR)
    pairs = tf.strings.ngrams(characters, 2, separator="", preserve_short_sequences=True)
    return words.with_flat_values(pairs).merge_dims(1, 2)


def split_pieces(texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """Texts cut into words and what is between them, so that all pieces joined are the text again.

    Returns:
        string ``[batch, (pieces)]``, and bool ``[all pieces]``, which of them are words of a script with
        spaces.
    """
    cut = tf.strings.regex_replace(texts, f"({_WORD})", rf"{_SEPARATOR}\1{_SEPARATOR}")
    pieces = tf.strings.split(cut, sep=_SEPARATOR)
    flat = pieces.flat_values
    is_word = tf.strings.regex_full_match(flat, _WORD)
    return pieces, is_word & ~tf.strings.regex_full_match(flat, f".*[{_UNSPACED}].*")


def grams(words: tf.Tensor) -> tf.RaggedTensor:
    """The character 4-grams of ``_word_`` for string ``[n]`` words: string ``[n, (grams)]``."""
    words = tf.strings.substr(words, 0, _MAX_LETTERS, unit="UTF8_CHAR")
    characters = tf.strings.unicode_split(tf.strings.join(["_", words, "_"]), "UTF-8", errors="ignore")
    return tf.strings.ngrams(characters, _GRAM_LENGTH, separator="", preserve_short_sequences=True)


def words_of_catalogue(texts: Sequence[str | bytes]) -> tuple[pa.DictionaryArray, tf.Tensor]:
    """The words of many texts.

    Returns:
        The words of all texts, one after the other, as a dictionary array of binary; and how many each text
        has, int64 ``[num_texts]``.
    """
    chunks, counts = [], []
    for start in range(0, len(texts), _BATCH):
        words = split_words(tf.constant(list(texts[start : start + _BATCH]), tf.string))
        chunks.append(pa.array(words.flat_values.numpy(), pa.binary()).dictionary_encode())
        counts.append(words.row_lengths())
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
