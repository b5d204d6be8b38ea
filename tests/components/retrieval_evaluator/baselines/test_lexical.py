import bm25s
import numpy as np
import Stemmer

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.baselines.lexical import Lexical, document

DOCUMENTS = [
    "Red enamel mug, camping mugs",
    "The blue mug",
    "Scented candles in a tin",
    "",
    "Tin soldier and tin drum",
]
QUERIES = ["camping mug", "a TIN of candle candles", "the of", "", "zeppelin"]


def test_scores_are_those_of_the_library() -> None:
    stemmer = Stemmer.Stemmer("english")
    options = {"stopwords": "en", "stemmer": stemmer, "show_progress": False}
    library = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    library.index(bm25s.tokenize(DOCUMENTS, **options), show_progress=False)
    scores = Lexical().fit(DOCUMENTS).score(Queries.of_texts(QUERIES, len(DOCUMENTS)))
    for query, row in zip(QUERIES, scores, strict=True):
        (tokens,) = bm25s.tokenize([query], return_ids=False, **options)
        known = [token for token in tokens if token in library.vocab_dict]
        expected = library.get_scores(known) if known else np.zeros(len(DOCUMENTS))
        np.testing.assert_allclose(np.where(np.isneginf(row), 0, row), expected, rtol=1e-5)


def test_items_without_a_word_of_the_query_are_no_candidates() -> None:
    scores = Lexical().fit(DOCUMENTS).score(Queries.of_texts(["mug", ""], len(DOCUMENTS)))
    assert np.isneginf(scores).tolist() == [[False, False, True, True, True], [True] * 5]


def test_a_catalogue_without_words_has_no_candidates() -> None:
    scores = Lexical().fit(["", "the"]).score(Queries.of_texts(["mug"], 2))
    assert np.isneginf(scores).all()


def test_the_first_column_is_repeated_three_times() -> None:
    assert document(["mug", "red"]) == "mug mug mug mug red"
