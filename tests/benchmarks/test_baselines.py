"""The published numbers of the baselines on the bundled samples, within 0.003."""

from pathlib import Path

import pytest

from benchmarks.baselines import main, recommendation_baselines
from benchmarks.dataset import load_dataset
from components.retrieval_evaluator.evaluation import Evaluation
from components.retrieval_evaluator.names import ALL, NOVEL

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    events = load_dataset(SAMPLES / "online_retail").events
    assert events is not None
    return recommendation_baselines(events)


@pytest.mark.parametrize(
    ("system", "task", "recall", "ndcg"),
    [
        ("popular", NOVEL, 0.069, 0.063),
        ("popular", ALL, 0.094, 0.132),
        ("item_knn", NOVEL, 0.126, 0.111),
        ("item_knn", ALL, 0.222, 0.252),
        ("ease", NOVEL, 0.129, 0.108),
        ("ease", ALL, 0.242, 0.293),
        ("repeat", ALL, 0.331, 0.391),
    ],
)
def test_baselines_of_recommendation_are_reproduced(
    evaluation: Evaluation, system: str, task: str, recall: float, ndcg: float
) -> None:
    assert evaluation.value(system, task, "recall@20") == pytest.approx(recall, abs=0.003)
    assert evaluation.value(system, task, "ndcg@10") == pytest.approx(ndcg, abs=0.003)


def test_users_that_count_are_those_of_the_published_table(evaluation: Evaluation) -> None:
    assert (len(evaluation.units[NOVEL]), len(evaluation.units[ALL])) == (255, 283)


def test_the_table_of_search_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SAMPLES / "shopping_queries")]) == 0
    assert "search, 40 queries" in capsys.readouterr().out


def test_a_folder_without_a_manifest_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "must have a dataset.toml" in capsys.readouterr().err
