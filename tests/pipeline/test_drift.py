from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tfx.types import standard_artifacts
from tfx.utils import json_utils

from components.drift_validator import Executor
from components.last_span import LastSpan
from pipeline.drift import _comparators, is_compared, read_drift
from pipeline.manifest import Manifest, load_manifest
from tests.components.in_memory import artifact
from tests.pipeline.conftest import Write


def _in_spans(manifest: Manifest) -> Manifest:
    assert manifest.events is not None
    return dataclasses.replace(
        manifest, events=dataclasses.replace(manifest.events, path=("{SPAN}.csv",), value="paid")
    )


def _statistics(folder: Path, items: list[str], paid: list[float]) -> Any:
    frame = pd.DataFrame({"user_id": ["u", "v"] * 50, "item_id": items, "kind": ["buy"] * 100, "value": paid})
    path = folder / "Split-all" / "FeatureStats.pb"
    path.parent.mkdir(parents=True)
    path.write_bytes(tfdv.generate_statistics_from_dataframe(frame, n_jobs=1).SerializeToString())
    return artifact(standard_artifacts.ExampleStatistics, folder, ["all"])


def test_column_that_moved_is_named_and_others_are_not(dataset: Write, tmp_path: Path) -> None:
    before = _statistics(tmp_path / "before", ["a", "b"] * 50, [float(i % 10) for i in range(100)])
    now = _statistics(tmp_path / "now", ["a"] * 80 + ["b"] * 20, [float(i % 10) for i in range(100)])
    anomalies = artifact(standard_artifacts.ExampleAnomalies, tmp_path / "anomalies")

    Executor().Do(
        {"statistics": [now], "baseline_statistics": [before]},
        {"anomalies": [anomalies]},
        {
            "distribution_validator_config": _comparators(_in_spans(load_manifest(dataset())), "events", 0.1),
            "include_split_pairs": json_utils.dumps(None),
        },
    )
    drift = {one.column: one for one in read_drift("events", anomalies.uri)}

    assert set(drift) == {"user_id", "item_id", "kind", "value"}
    assert drift["item_id"].distance == pytest.approx(0.3)
    assert drift["item_id"].sentence == "In item_id of events one value's share has changed by 30.0%."
    assert [name for name, one in drift.items() if one.distance > one.limit] == ["item_id"]
    assert drift["value"].sentence == "value of events is distributed as before."


def test_first_span_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    statistics = _statistics(tmp_path / "now", ["a"] * 100, [1.0] * 100)
    anomalies = artifact(standard_artifacts.ExampleAnomalies, tmp_path / "anomalies")

    Executor().Do({"statistics": [statistics]}, {"anomalies": [anomalies]}, {})

    assert read_drift("events", anomalies.uri) == ()


def test_only_tables_in_spans_are_compared(dataset: Write) -> None:
    manifest = load_manifest(dataset())

    assert not is_compared(manifest, "events")
    assert is_compared(_in_spans(manifest), "events")


def _of_span(number: int, span: int, table: str = "events") -> Any:
    made = artifact(
        standard_artifacts.ExampleStatistics, Path(f"/root/StatisticsGen.{table}/statistics/{number}")
    )
    made.id, made.span = number, span
    return made


def test_span_before_is_the_newest_of_the_earlier_ones_of_the_table() -> None:
    current = _of_span(9, 5)
    others = [_of_span(1, 3), _of_span(2, 4), _of_span(3, 4), _of_span(4, 6), _of_span(5, 4, "items")]
    inputs = {"current": [current], "statistics": [*others, current]}

    assert [found.id for found in LastSpan().resolve_artifacts(None, inputs)["statistics"]] == [3]
    assert LastSpan().resolve_artifacts(None, inputs | {"current": [_of_span(1, 3)]})["statistics"] == []
