from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.retrieval_evaluator.baselines.base import Interactions, Queries
from components.retrieval_evaluator.servable_caller import Answers, ServedModel
from tests.components.retrieval_evaluator.catalogues import items_of
from tests.serving import tiny_model

# The catalogue has an item the model does not know.
IDS = (*tiny_model.ITEM_IDS, "glass")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "1"
    tiny_model.write(path)
    return path


@pytest.fixture(scope="module")
def served(folder: Path) -> ServedModel:
    return ServedModel(str(folder), items_of(IDS))


@pytest.fixture
def asked() -> Queries:
    """One user with a long past, one with a basket that holds an item twice, one with none."""
    log = Interactions(
        user_rows=np.array([0, 0, 0, 1, 1, 1], np.int32),
        item_rows=np.array([0, 2, 0, 3, 3, 1], np.int32),
        times=np.array([1, 2, 3, 5, 5, 4]),
        num_users=3,
        num_items=len(IDS),
    )
    return Queries.of_users(log, np.array([0, 1, 2]))


def test_history_has_an_id_for_every_moment_most_recent_first(
    served: ServedModel, asked: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[dict[str, Any]] = []
    real = served._signatures["recommend"]

    class Listening:
        structured_input_signature = real.structured_input_signature

        def __call__(self, **inputs: Any) -> Any:
            requests.append(inputs)
            return real(**inputs)

    monkeypatch.setattr(served, "_signatures", {"recommend": Listening()})
    served.recommend(asked, exclude_seen=True, user_ids=["u", "v", "w"], now=7, k=4)

    (request,) = requests
    assert request["history"].numpy().tolist() == [
        [b"apron", b"candle", b"apron"],
        [b"dish", b"basket", b""],
        [b"", b"", b""],
    ]
    assert request["history_times"].numpy().tolist() == [[3, 2, 1], [5, 4, 0], [0, 0, 0]]
    assert request["now"].numpy().tolist() == [7, 7, 7]
    assert request["user_id"].numpy().tolist() == [b"u", b"v", b"w"]
    assert request["exclude_seen"].numpy().tolist() == [True] * 3


def test_answers_are_item_rows_with_their_scores(served: ServedModel, asked: Queries) -> None:
    answers = served.recommend(asked, exclude_seen=True, user_ids=["u", "v", "w"], now=7, k=len(IDS))

    assert answers.rows.shape == answers.scores.shape == (3, len(IDS))
    assert set(answers.rows[0]) == {1, 3, 4, 5, -1}
    assert set(answers.rows[1]) == {0, 2, 4, 5, -1}
    assert sorted(answers.rows[2]) == [-1, 0, 1, 2, 3, 4, 5]


def test_lists_become_scores_of_the_catalogue() -> None:
    answers = Answers(
        rows=np.array([[2, 0, -1], [1, -1, -1]]),
        scores=np.array([[5.0, 4.0, 0.0], [7.0, 0.0, 0.0]], np.float32),
        probabilities=np.zeros((2, 3), np.float32),
        reason_rows=np.full((2, 3), -1),
        matches=np.full((2, 3), b"", object),
    )

    scores = answers.as_scores(4)

    none = -np.inf
    np.testing.assert_array_equal(scores, [[4.0, none, 5.0, none], [none, 7.0, none, none]])


def test_search_asks_for_nobody(served: ServedModel) -> None:
    texts = ["tea", "a red candle"]
    answers = served.search(texts, k=3)

    # The tiny model's own arithmetic for a text alone.
    lengths = np.array([[3 * len(text)] for text in texts], np.float32)
    expected = np.cos(lengths * np.arange(1, tiny_model.DIM + 1, dtype=np.float32)) @ tiny_model.VECTORS.T
    np.testing.assert_array_equal(answers.rows, np.argsort(-expected, axis=1)[:, :3])
    np.testing.assert_allclose(answers.scores, -np.sort(-expected, axis=1)[:, :3], rtol=1e-5)


def test_vectors_are_in_row_order_and_zero_for_unknown_items(served: ServedModel) -> None:
    vectors = served.item_vectors()

    np.testing.assert_allclose(vectors[:-1], tiny_model.VECTORS, rtol=1e-6)
    assert not vectors[-1].any()


def test_query_vectors_are_those_of_the_signature(served: ServedModel, folder: Path, asked: Queries) -> None:
    vectors = served.query_vectors(asked, ["u", "vv", ""])

    expected = tf.saved_model.load(str(folder)).signatures["embed_query"](
        query=tf.constant([""]),
        user_id=tf.constant(["vv"]),
        history=tf.constant([["dish", "basket"]]),
        history_times=tf.zeros([1, 2], tf.int64),
        now=tf.zeros([1], tf.int64),
    )["embedding"]
    np.testing.assert_allclose(vectors[1], expected[0], rtol=1e-6)
