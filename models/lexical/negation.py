"""Words that are not wanted: in a query behind "without", and in a text that says it lacks something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import tensorflow as tf

from models.lexical.words import Pieces, negators

_LACKING_ENGLISH = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?:without|no|not|non|zero)[\s-]+(\w+)(?:[\s-]+(\w+))?",
        r"(\w+)[\s-]+free\b",
        r"(\w{3,})less\b",
    )
)
_MAYBE_ENGLISH = re.compile(r"without|no|zero|free|less")


def negated(words: Pieces, batch: tf.Tensor, language: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Which words of queries are behind one that negates.

    Args:
        words: Of ``batch`` queries.
        batch: int32 ``[]``.
        language: One of `dataset.contract.LANGUAGES`.

    Returns:
        bool ``[n]`` twice: the negated words, and the words that negate.
    """
    nothing = tf.zeros_like(words.rows, tf.bool)
    if not negators(language):
        return nothing, nothing
    is_negator = tf.reduce_any(words.flat[:, None] == tf.constant(negators(language))[None], axis=1)
    before = tf.cumsum(tf.cast(is_negator, tf.int32), exclusive=True)
    # Those of the queries before do not count.
    first = tf.math.unsorted_segment_min(before, words.rows, batch)
    of_row = before - tf.gather(first, words.rows)
    # A word that ends a query negates nothing.
    is_negated = (of_row > 0) & ~is_negator
    return is_negated, is_negator


def lacking(texts: Iterable[str], language: str) -> Iterator[tuple[int, str]]:
    """The words that texts say they lack, as the number of the text and the lower-case word."""
    if language == "english":
        patterns, maybe = _LACKING_ENGLISH, _MAYBE_ENGLISH
    elif negators(language):
        either = "|".join(negators(language))
        patterns = (re.compile(rf"\b(?:{either})[\s-]+(\w+)(?:[\s-]+(\w+))?"),)
        maybe = re.compile(either)
    else:
        return
    for number, text in enumerate(texts):
        lower = text.lower()
        if maybe.search(lower):
            for pattern in patterns:
                for match in pattern.finditer(lower):
                    yield from ((number, word) for word in match.groups() if word)
