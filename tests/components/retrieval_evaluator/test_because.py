"""Words that a search names as its reason, taken away."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import sparse

from components.retrieval_evaluator.because import evaluate_matches
from components.retrieval_evaluator.evaluation_data import Judged
from components.retrieval_evaluator.names import SEARCH
from components.retrieval_evaluator.servable_caller import ServedModel
from serving.servable.saving import save_servable
from tests import tiny
from tests.components.retrieval_evaluator.catalogues import items_of


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    folder: Path = tmp_path_factory.mktemp("served")
    servable, signatures = tiny.shared_servable()
    save_servable(servable, str(folder), signatures)
    return ServedModel(str(folder), items_of([item_id.decode() for item_id in tiny.IDS]))


def _judged(*queries: str) -> Judged:
    return Judged(queries=queries, gains=sparse.csr_matrix((len(queries), len(tiny.IDS))))


def test_score_falls_once_a_named_word_is_not_asked_for(served: ServedModel) -> None:
    row = evaluate_matches(_judged("red teapot", "Garden LAMP!", "zzz", ""), served, seed=1)

    assert row is not None
    # The other queries name no word.
    assert (row.task, row.metric, row.num) == (SEARCH, "because@1", 2)
    assert row.value == 1.0


def test_word_that_stays_in_the_query_does_not_make_the_score_fall(served: ServedModel) -> None:
    # Its stem is asked for twice, and by another form it is still there.
    answer = served.search(["lamp lamp"], spell=False)
    without = served.search(["lamp"], spell=False)

    assert answer.matches[0, 0] == b"lamp=title\nlamp=title"
    assert without.scores[0, 0] < answer.scores[0, 0]


def test_queries_that_name_no_word_have_no_row(served: ServedModel) -> None:
    assert evaluate_matches(_judged("zzz", ""), served, seed=1) is None
