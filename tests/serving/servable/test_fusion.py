"""Weights of the parts of a search are learnt where judged queries show that they help, and only there."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from scipy import sparse

from models.lexical.index import LexicalIndex
from serving.servable.fusion import JudgedParts, fit_weights, learn_weights
from serving.servable.search_quality import JudgedQueries
from serving.servable.searching import MEANING, PARTS, WORDS, Searching

NUM_ITEMS = 40


def make_searching() -> Searching:
    """Items of one word each, with meanings at right angles."""
    titles = [f"w{row}" for row in range(NUM_ITEMS)]
    return Searching(LexicalIndex({"title": titles}), np.eye(NUM_ITEMS, dtype=np.float32))


def make_judged(relevant: np.ndarray) -> JudgedQueries:
    """Each item's word as a query; the item and the next one are judged, and one of them is relevant."""
    rows = np.arange(NUM_ITEMS)
    gains = np.zeros((NUM_ITEMS, NUM_ITEMS))
    gains[rows, relevant] = 1.0
    judged = sparse.lil_matrix((NUM_ITEMS, NUM_ITEMS))
    for row in rows:
        for item in (row, (row + 1) % NUM_ITEMS):
            judged[row, item] = gains[row, item] or 1e-9
    return JudgedQueries(queries=[f"w{row}" for row in rows], gains=judged.tocsr())


def of_next_item() -> np.ndarray:
    """Queries that mean the item after the one whose word they have, though less strongly than the word."""
    return 0.2 * np.roll(np.eye(NUM_ITEMS, dtype=np.float32), 1, axis=1)


def test_weights_turn_to_the_part_that_orders_as_the_judgments_do() -> None:
    searching, vectors = make_searching(), of_next_item()
    judged = make_judged((np.arange(NUM_ITEMS) + 1) % NUM_ITEMS)
    queries = tf.constant(judged.queries)
    assert np.all(np.argmax(searching(queries, vectors).scores, axis=1) == np.arange(NUM_ITEMS))

    weights, about = learn_weights(searching, judged, vectors)

    assert weights is not None
    assert weights[PARTS.index(MEANING)] > 1.0 > weights[PARTS.index(WORDS)]
    assert "judged queries are taken" in about
    searching.weigh(weights)
    found = searching(queries, vectors)
    assert np.all(np.argmax(found.scores, axis=1) == (np.arange(NUM_ITEMS) + 1) % NUM_ITEMS)
    np.testing.assert_allclose(found.scores, sum(found.parts.values()), rtol=1e-5)


def test_sum_stays_where_it_is_right_already() -> None:
    weights, about = learn_weights(make_searching(), make_judged(np.arange(NUM_ITEMS)), of_next_item())

    assert weights is None
    assert "not taken" in about


def test_few_judged_queries_teach_nothing() -> None:
    judged = make_judged((np.arange(NUM_ITEMS) + 1) % NUM_ITEMS)
    few = JudgedQueries(queries=judged.queries[:19], gains=judged.gains[:19])

    assert learn_weights(make_searching(), few, of_next_item()[:19]) == (None, "")


def test_padding_and_queries_of_one_grade_teach_nothing() -> None:
    parts = np.random.default_rng(0).random((3, 4, len(PARTS))).astype(np.float32)
    gains = np.array([[1.0, 1.0, -1.0, -1.0], [0.0, 0.0, 0.0, -1.0], [-1.0] * 4], np.float32)

    np.testing.assert_allclose(fit_weights(JudgedParts(parts, gains)), np.ones(len(PARTS)), atol=1e-5)
