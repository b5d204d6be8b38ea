import numpy as np
import pytest
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.evaluation import Array, Evaluation
from components.retrieval_evaluator.names import SEARCH
from components.retrieval_evaluator.search import evaluate_search

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
