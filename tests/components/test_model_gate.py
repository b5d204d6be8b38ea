from __future__ import annotations

import json
from pathlib import Path

import pytest
from tfx.types import Artifact, standard_artifacts
from tfx.utils import path_utils

from components.artifacts import RetrievalEvaluation
from components.model_gate import ModelGate
from components.retrieval_evaluator.evaluation import Difference, MetricRow
from components.retrieval_evaluator.record import EVALUATION_FILE, EvaluationRecord
from components.verdict import VERDICT_FILE
from serving.servable.extra_assets import ExtraAssets

THRESHOLDS = {
    "task": "discovery",
    "min_ratio_to_best_baseline": 1.0,
    "min_cold_ratio": 0.8,
    "min_ratio_to_zero_shot": 0.9,
    "max_loss_to_blessed": 0.05,
    "allow_unmeasured": False,
}


def _row(system: str, value: float) -> MetricRow:
    return MetricRow(system=system, task="novel", metric="ndcg@10", value=value, low=None, high=None, num=20)


def _artifact(kind: type[Artifact], folder: Path, number: int) -> Artifact:
    folder.mkdir()
    artifact = kind()
    artifact.uri, artifact.id = str(folder), number
    return artifact


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, list[Artifact]]:
    """A model at 0.20; popularity is at 0.15, and the blessed model, of span 3 as the log, at 0.21."""
    evaluation = _artifact(RetrievalEvaluation, tmp_path / "evaluation", 1)
    difference = Difference(
        system="tandem",
        baseline="last blessed",
        task="novel",
        metric="ndcg@10",
        value=-0.01,
        low=-0.02,
        high=0.0,
        num=20,
    )
    record = EvaluationRecord(
        ours="tandem",
        rows=(_row("tandem", 0.2), _row("popular", 0.15), _row("last blessed", 0.21)),
        differences=(difference,),
    )
    (tmp_path / "evaluation" / EVALUATION_FILE).write_text(record.to_json())
    blessed = _artifact(standard_artifacts.Model, tmp_path / "blessed", 3)
    extra = ExtraAssets(path_utils.serving_model_dir(blessed.uri))
    Path(extra.folder).mkdir(parents=True)
    extra.write_span(3)
    events = _artifact(standard_artifacts.Examples, tmp_path / "events", 4)
    events.set_int_custom_property("span", 3)
    return {
        "evaluation": [evaluation],
        "model": [_artifact(standard_artifacts.Model, tmp_path / "model", 2)],
        "baseline_model": [blessed],
        "events": [events],
    }


def _decide(inputs: dict[str, list[Artifact]], folder: Path, **thresholds: float) -> Artifact:
    blessing = standard_artifacts.ModelBlessing()
    blessing.uri = str(folder / "blessing")
    executor = ModelGate.EXECUTOR_SPEC.executor_class()
    executor.Do(inputs, {"blessing": [blessing]}, THRESHOLDS | thresholds)
    return blessing


def test_blessing_is_as_tfx_writes_it(inputs: dict[str, list[Artifact]], tmp_path: Path) -> None:
    blessing = _decide(inputs, tmp_path)

    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_int_custom_property("current_model_id") == 2
    assert blessing.get_string_custom_property("current_model") == inputs["model"][0].uri
    assert blessing.get_int_custom_property("baseline_model_id") == 3
    assert blessing.get_string_custom_property("baseline_model") == inputs["baseline_model"][0].uri
    assert (tmp_path / "blessing" / "BLESSED").is_file()


def test_threshold_refuses_with_reasons(inputs: dict[str, list[Artifact]], tmp_path: Path) -> None:
    blessing = _decide(inputs, tmp_path, min_ratio_to_best_baseline=1.5)

    assert blessing.get_int_custom_property("blessed") == 0
    assert (tmp_path / "blessing" / "NOT_BLESSED").is_file()
    verdict = json.loads((tmp_path / "blessing" / VERDICT_FILE).read_text())
    assert verdict["is_blessed"] is False
    assert verdict["reasons"][0].endswith("nDCG@10 is 0.200, below 1.5 × 0.150 (popular).")


@pytest.mark.parametrize(("span", "is_blessed"), [(3, 1), (4, 0)])
def test_later_span_wants_a_better_model(
    inputs: dict[str, list[Artifact]], tmp_path: Path, span: int, is_blessed: int
) -> None:
    inputs["events"][0].set_int_custom_property("span", span)

    assert _decide(inputs, tmp_path).get_int_custom_property("blessed") == is_blessed


@pytest.mark.parametrize("baselines", [[], [standard_artifacts.Model()]])
def test_without_a_blessed_model_none_is_named(
    inputs: dict[str, list[Artifact]], tmp_path: Path, baselines: list[Artifact]
) -> None:
    blessing = _decide(inputs | {"baseline_model": baselines, "events": []}, tmp_path)

    assert not blessing.has_custom_property("baseline_model")
