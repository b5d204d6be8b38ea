"""The approximate index: what it answers where it looks at everything, and the recall that lets it in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dataset.errors import DataError
from models.item_table import ItemTable
from models.lexical.index import LexicalIndex
from models.retriever import Retriever
from models.trained import TrainedModel
from serving.servable.approximation import IndexRecall, approximate
from serving.servable.likeness import Likeness
from serving.servable.query_encoder import query_vectors
from serving.servable.saving import save_servable
from serving.servable.searching import Searching
from tests import tiny
from tests.serving.servable.asking import ALL, LISTS, NOTHING_KNOWN, Ask, asker_of, name, shown

NUM_ITEMS, DIM = 18_000, 24

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    *LISTS,
    *NOTHING_KNOWN,
    ("search", {"query": ["red teapot", "lamp", ""], "user_id": ["ann", "", "bob"], "k": [3, ALL, 2]}),
    ("search", {"query": ["lamp", "box"], "filters": [["room=hall"], []], "exclude": [[], [name(2)]]}),
    ("search", {"query": ["lamp"], "filters": [["room=no such room"]]}),
    ("search", {"query": ["glass without box"], "user_id": ["ann"], "exclude_seen": [True]}),
    ("search", {"query": ["lamp"], "k": [2], "offset": [3]}),
    ("search", {"query": ["lamp", "box"], "sort": ["price", ""]}),
    ("search", {"query": ["lamp"], "boost": [["room=hall:3"]], "pin": [[name(9)]], "diversity": [0.5]}),
    ("search", {"query": [name(4)]}),
    ("facets", {"query": ["red teapot", "zzz", ""], "filters": [[], ["room=hall"], []]}),
    ("facets", {"query": ["lamp"]}),
    ("similar", {"item_id": [name(3), "no such item"], "filters": [["room=hall"], []]}),
    ("similar", {"item_id": [name(3)], "exclude": [[name(1), name(2)]], "k": [2]}),
    ("rank", {"query": ["lamp", ""], "candidates": [[name(1), "?", name(5)], [name(2), "", ""]]}),
    ("rank", {"query": ["lamp"], "user_id": ["ann"], "candidates": [[name(1), name(3)]]}),
    ("complement", {"item_ids": [[name(1), name(3)]]}),
]


@pytest.fixture(scope="module")
def nearly(items: ItemTable, trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Asks the SavedModel that looks into lists."""
    searching = tiny.make_searching(items, trained)
    trained = dataclasses.replace(trained, recommender=tiny.shared_recommender())
    servable = tiny.make_servable(items, trained, searching)
    recall, about = approximate(
        searching,
        servable.likeness,
        items,
        text_vectors=items.text_vectors,
        titles=tiny.TITLES,
        encode=lambda texts: query_vectors(texts, trained, None, tiny.CONFIG.model.max_query_tokens),
        num_candidates=tiny.CONFIG.serve.num_candidates,
        min_recall=1.0,
    )
    assert about.startswith("The approximate index is taken: recall@100 1.000 for search")
    assert recall == IndexRecall(search=1.0, similar=1.0, num_probed=len(items))
    folder = str(tmp_path_factory.mktemp("approximate"))
    save_servable(servable, folder, servable.signatures())
    loaded = tf.saved_model.load(folder)
    return asker_of(dict(loaded.signatures.items()) | {"_keep": loaded})


@pytest.mark.parametrize(("signature", "given"), REQUESTS)
def test_answers_are_those_of_the_exact_index_where_all_is_looked_at(
    nearly: Ask, signature: str, given: dict[str, Any]
) -> None:
    exact = asker_of(tiny.shared_servable()[1])(signature, **given)

    answer = nearly(signature, **given)

    assert answer.keys() == exact.keys()
    for output, values in exact.items():
        if values.dtype == object:
            np.testing.assert_array_equal(answer[output], values, err_msg=output)
        else:
            np.testing.assert_allclose(answer[output], values, atol=1e-4, err_msg=output)


def test_text_vectors_are_held_once(items: ItemTable, trained: TrainedModel, tmp_path: Path) -> None:
    searching = tiny.make_searching(items, trained)
    _take(searching, items.text_vectors, tiny.TITLES, items)

    shapes = [variable.shape for variable in searching.variables]

    assert shapes.count(items.text_vectors.shape) == 1


def test_few_lists_are_taken_where_they_find_nearly_the_same() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 150, NUM_ITEMS)
    vectors = _units(rng, 150)[kinds] + 0.3 * _units(rng, NUM_ITEMS)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    titles = [f"kind{kind} thing{row}" for row, kind in enumerate(kinds)]
    searching = Searching(LexicalIndex({"title": titles}), vectors)

    recall = _take(searching, vectors, titles, _table(vectors), min_recall=0.98)

    assert recall.num_probed < NUM_ITEMS
    assert 0.98 <= recall.lowest <= 1.0


def test_index_that_finds_too_little_is_refused() -> None:
    vectors = _units(np.random.default_rng(0), NUM_ITEMS)
    titles = [f"thing{row}" for row in range(NUM_ITEMS)]
    searching = Searching(LexicalIndex({"title": titles}), vectors)

    with pytest.raises(
        DataError, match=r"must find 0.98 .*serve\.min_index_recall.* Got recall@100 0\.\d+ for"
    ):
        _take(searching, vectors, titles, _table(vectors), min_recall=0.98)


def test_filter_leaves_all_that_it_should_though_it_is_far_from_the_query(nearly: Ask) -> None:
    far = shown(nearly("search", query=["red teapot"], k=[ALL]))[-5:]
    others = [item for item in (name(row) for row in range(ALL)) if item not in far]

    answer = nearly("search", query=["red teapot"], exclude=[others], k=[ALL])

    assert shown(answer) == far


def _units(rng: np.random.Generator, count: int) -> Any:
    drawn = rng.normal(size=(count, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def _table(vectors: Any) -> ItemTable:
    size = len(vectors)
    return ItemTable(
        ids=np.array([b"%d" % row for row in range(size)], object),
        titles=np.array([b""] * size, object),
        tokens=np.zeros((size, 1), np.int32),
        text_vectors=vectors,
        categories=(),
        numbers=np.zeros((size, 0), np.float32),
        available=np.arange(size) % 7 != 0,
    )


def _take(
    searching: Searching, vectors: Any, titles: Any, items: ItemTable, *, min_recall: float = 0.0
) -> IndexRecall:
    """Has words that are no texts to a query: its vector is that of an item."""
    likeness = Likeness(Retriever(tf.constant(vectors), text_dim=vectors.shape[1]), None)
    recall, _ = approximate(
        searching,
        likeness,
        items,
        text_vectors=vectors,
        titles=titles,
        encode=lambda texts: vectors[np.arange(len(texts)) % len(vectors)],
        num_candidates=10,
        min_recall=min_recall,
    )
    return recall
