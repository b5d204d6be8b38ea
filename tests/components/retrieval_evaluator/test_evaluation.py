from __future__ import annotations

import numpy as np
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.evaluation import Array, without_disliked


def by_row(queries: Queries) -> Array:
    return np.tile(np.arange(4.0), (len(queries), 1))


def test_no_system_retrieves_what_the_asking_user_dislikes() -> None:
    disliked = sparse.csr_matrix(np.array([[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]))
    nothing = np.zeros(0, np.int32)
    queries = Queries(
        user_rows=np.array([2, -1, 0, 1], np.int32),
        history_starts=np.zeros(5, np.int64),
        history_items=nothing,
        history_times=nothing,
        texts=("",) * 4,
        num_items=4,
    )

    scores = without_disliked(by_row, disliked)(queries)

    assert np.isneginf(scores).nonzero()[0].tolist() == [0, 0, 2]
    assert np.isneginf(scores).nonzero()[1].tolist() == [0, 3, 1]
    assert without_disliked(by_row, sparse.csr_matrix((3, 4))) is by_row
