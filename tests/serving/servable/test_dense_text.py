"""The text that a search by meaning compares: titles alone are taken only where judged queries say so."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from models.encoding import encode_tokens
from models.lexical.index import LexicalIndex
from models.trained import TrainedModel
from serving.servable.dense_text import choose_titles
from serving.servable.search_quality import JudgedQueries
from serving.servable.searching import Searching
from tests import tiny

NUM_ITEMS = len(tiny.IDS)
NUM_QUERIES = 2 * NUM_ITEMS


def vectors_of(trained: TrainedModel, texts: list[str]) -> np.ndarray:
    tokens = trained.tokenizer(
        tf.constant(texts, tf.string), length=tiny.CONFIG.model.max_text_tokens
    ).numpy()
    return encode_tokens(trained.two_tower.encoder, tokens)


def choose(trained: TrainedModel, all_text: np.ndarray, num_queries: int) -> tuple[np.ndarray | None, str]:
    """Asks by the vectors of titles for the item of each, in a catalogue of items without words."""
    relevant = np.eye(NUM_ITEMS)[np.arange(num_queries) % NUM_ITEMS]
    queries = (tiny.TITLES * 2)[:num_queries]
    return choose_titles(
        Searching(LexicalIndex({"title": ["-"] * NUM_ITEMS}), all_text),
        trained,
        tiny.TITLES,
        JudgedQueries(queries=queries, gains=sparse.csr_matrix(relevant)),
        vectors_of(trained, queries),
        max_text_tokens=tiny.CONFIG.model.max_text_tokens,
    )


def test_titles_are_taken_where_the_rest_of_the_text_hides_the_item(trained: TrainedModel) -> None:
    of_titles = vectors_of(trained, tiny.TITLES)

    taken, about = choose(trained, np.roll(of_titles, 1, axis=0), NUM_QUERIES)

    assert taken is not None
    np.testing.assert_allclose(taken, of_titles, atol=1e-6)
    assert about.startswith("A search by meaning compares a query with the title of an item: ")
    assert f" on {NUM_QUERIES} judged queries" in about


def test_all_the_text_stays_where_titles_find_no_more(trained: TrainedModel) -> None:
    taken, about = choose(trained, vectors_of(trained, tiny.TITLES), NUM_QUERIES)

    assert taken is None
    assert "compares a query with all the text of an item" in about


@pytest.mark.parametrize("num_queries", [0, 19])
def test_few_judged_queries_decide_nothing(trained: TrainedModel, num_queries: int) -> None:
    assert choose(trained, np.eye(NUM_ITEMS, 8, dtype=np.float32), num_queries) == (None, "")
