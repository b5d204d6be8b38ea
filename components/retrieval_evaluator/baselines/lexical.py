"""BM25 over the catalogue's own text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Self

import bm25s
import numpy as np
import Stemmer
from bm25s.stopwords import STOPWORDS_EN
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Array, Channel, Queries

FIRST_COLUMN_EXTRA = 3

_WORD = re.compile(r"\b\w\w+\b")
_STOP_WORDS = frozenset(STOPWORDS_EN)


def document(columns: Sequence[str]) -> str:
    """One item's text for the index: its text columns as one, after the first of them three times."""
    return " ".join([*[columns[0]] * FIRST_COLUMN_EXTRA, *columns])


class Lexical(Channel):
    """BM25 as Lucene computes it, on stemmed words without English stop words.

    Attributes:
        term_rows: Row in `term_scores` of each stem, set by `fit`.
        term_scores: float32 CSR `[num_terms, num_items]`: what one occurrence of a term in a query adds to
            each item's score, set by `fit`.

    Example:
        >>> index = Lexical().fit(["red mug", "blue mug", "candle"])
        >>> index.score(Queries.of_texts(["mugs in red"], num_items=3)).argmax()
        np.int64(0)
    """

    name = "lexical"

    def __init__(self, *, k1: float = 1.2, b: float = 0.75, language: str = "english") -> None:
        self.k1 = k1
        self.b = b
        self.language = language

    def fit(self, documents: Sequence[str]) -> Self:
        """Indexes one text per item, in the order of the item table; see `document`."""
        stemmer = Stemmer.Stemmer(self.language)
        self.term_rows: dict[str, int] = {}
        terms = [
            [self.term_rows.setdefault(stem, len(self.term_rows)) for stem in stemmer.stemWords(words(text))]
            for text in documents
        ]
        num_terms, num_items = len(self.term_rows), len(documents)
        if not num_terms:
            self.term_scores = sparse.csr_matrix((0, num_items), dtype=np.float32)
            return self
        index = bm25s.BM25(method="lucene", k1=self.k1, b=self.b)
        index.index((terms, self.term_rows), show_progress=False, create_empty_token=False)
        by_term = (index.scores["data"], index.scores["indices"], index.scores["indptr"])
        self.term_scores = sparse.csr_matrix(by_term, shape=(num_terms, num_items), dtype=np.float32)
        return self

    def score(self, queries: Queries) -> Array:
        """BM25 scores: float32 `[num_queries, num_items]`; items without a word of the query are ``-inf``."""
        scores = (self._query_terms(queries.texts) @ self.term_scores).toarray()
        scores[scores <= 0.0] = -np.inf
        return scores

    def _query_terms(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """How often each known term is in each text: float32 `[num_queries, num_terms]`."""
        stemmer = Stemmer.Stemmer(self.language)
        entries = [
            (count, row, self.term_rows[stem])
            for row, text in enumerate(texts)
            for stem, count in Counter(stemmer.stemWords(words(text))).items()
            if stem in self.term_rows
        ]
        counts, rows, columns = zip(*entries, strict=True) if entries else ((), (), ())
        shape = (len(texts), self.term_scores.shape[0])
        return sparse.csr_matrix((np.asarray(counts, np.float32), (rows, columns)), shape=shape)


def words(text: str) -> list[str]:
    """The words of a text that count, lower-case: two letters or more, and no stop words."""
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS]
