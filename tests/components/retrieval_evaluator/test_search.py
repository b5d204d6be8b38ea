import numpy as np
import pytest
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.evaluation import Array, Evaluation
from components.retrieval_evaluator.names import MISTYPED, SEARCH
from components.retrieval_evaluator.search import evaluate_search
from components.retrieval_evaluator.typing_errors import with_one_error

GAINS = sparse.csr_matrix(np.array([[1.0, 0.1, 0.0], [0.0, 0.0, 0.0], [0.0, 0.01, 0.1]]))
QUERIES = ["red mug", "nothing fits", "a long query of many words"]


def by_row(queries: Queries) -> Array:
    return np.tile([3.0, 2.0, 1.0], (len(queries), 1))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate_search(queries=QUERIES, gains=GAINS, systems={"by row": by_row}, chunk_size=1)


def test_queries_count_that_have_something_relevant(evaluation: Evaluation) -> None:
    assert evaluation.units[SEARCH].tolist() == [0, 2]


def test_ndcg_takes_graded_gains(evaluation: Evaluation) -> None:
    second = (0.01 / np.log2(3) + 0.1 / np.log2(4)) / (0.1 / np.log2(2) + 0.01 / np.log2(3))
    np.testing.assert_allclose(evaluation.values["by row", SEARCH, "ndcg@10"], [1.0, second])


def test_recall_and_mrr_take_the_highest_grade_only(evaluation: Evaluation) -> None:
    np.testing.assert_allclose(evaluation.values["by row", SEARCH, "recall@100"], [1.0, np.nan])
    assert evaluation.value("by row", SEARCH, "mrr") == 1.0
    assert [row.num for row in evaluation.rows if row.metric == "recall@100"] == [1]


def test_slices_are_by_length_and_by_group() -> None:
    queries = [f"word {n}" for n in range(12)] + [f"some words more {n}" for n in range(15)]
    gains = sparse.csr_matrix(np.ones((27, 3)))
    result = evaluate_search(
        queries=queries, gains=gains, systems={"by row": by_row}, query_groups={"source": ["shop"] * 27}
    )
    sizes = {row.slice: row.num for row in result.rows if row.metric == "mrr"}
    assert sizes == {"": 27, "words=1-2": 12, "words=3-4": 15, "source=shop": 27}


def test_queries_with_typing_errors_are_a_slice_with_the_mean_over_the_draws() -> None:
    queries = [f"red mug {n}" for n in range(12)]
    gains = sparse.csr_matrix(np.tile([1.0, 0.0, 0.0], (12, 1)))

    def of_right_spelling(asked: Queries) -> Array:
        return np.array([[1.0, 0.0, 0.0] if "mug" in text else [0.0, 2.0, 1.0] for text in asked.texts])

    mistyped = [[query.replace("mug", "mgu") for query in queries], queries]
    result = evaluate_search(
        queries=queries, gains=gains, systems={"words": of_right_spelling}, mistyped=mistyped
    )

    assert result.value("words", SEARCH, "mrr") == 1.0
    assert result.value("words", SEARCH, "mrr", MISTYPED) == pytest.approx((1 / 3 + 1) / 2)


def test_a_typing_error_is_one_edit_in_one_long_word() -> None:
    queries = ["glass candle 12", "tea", "ÄRGER"] * 20

    for draw in (with_one_error(queries, seed=seed) for seed in (1, 2)):
        changed = [(query, text) for query, text in zip(queries, draw, strict=True) if query != text]
        assert len(changed) > 30
        for query, text in changed:
            assert query != "tea"
            assert abs(len(query) - len(text)) <= 1
            words = zip(query.split(), text.split(), strict=True)
            assert sum(word != other for word, other in words) == 1
    assert with_one_error(queries, seed=1) == with_one_error(queries, seed=1)
    assert with_one_error(queries, seed=1) != with_one_error(queries, seed=2)
