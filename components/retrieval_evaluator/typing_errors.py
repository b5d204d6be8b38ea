"""Queries as people mistype them: one edit in one word, drawn at random."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

# A word of at least four letters; in a shorter one an edit leaves little to tell by.
_WORD = re.compile(r"[^\W\d_]{4,}")


def with_one_error(queries: Sequence[str], *, seed: int) -> list[str]:
    """Each query with a letter left out, put in, exchanged for another or swapped with its neighbour.

    The letters come from the queries themselves. A query without a word of four letters stays as it is.
    """
    rng = np.random.default_rng(seed)
    letters = sorted(
        {letter for query in queries for word in _WORD.findall(query) for letter in word.lower()}
    )
    return [_mistyped(query, letters, rng) for query in queries]


def _mistyped(query: str, letters: list[str], rng: np.random.Generator) -> str:
    words = [match.span() for match in _WORD.finditer(query)]
    if not words:
        return query
    start, stop = words[rng.integers(len(words))]
    word, place, letter = query[start:stop], rng.integers(stop - start), letters[rng.integers(len(letters))]
    before, here, after = word[:place], word[place], word[place + 1 :]
    edited = (
        before + after,
        before + letter + here + after,
        before + letter + after,
        before + after[:1] + here + after[1:],
    )[rng.integers(4)]
    return query[:start] + edited + query[stop:]
