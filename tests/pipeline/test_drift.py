from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import json_format
from tensorflow_data_validation.statistics import stats_impl
from tfx.components.statistics_gen.executor import Executor as StatisticsExecutor
from tfx.types import Channel, standard_artifacts
from tfx.utils import json_utils

from components.drift_validator import Executor
from components.last_span import LastSpan
from components.table_example_gen.executor import as_lists
from dataset import features
from dataset.columns import normalise_items
from dataset.contract import ItemsTable
from dataset.manifest import Manifest, load_manifest
from dataset.raw_rows import Where
from pipeline.drift import _comparators, compared_columns, is_compared, read_drift, skew_nodes
from tests.components.in_memory import artifact, build_interactions, context
from tests.tiny_dataset import Write


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


def test_each_value_of_a_list_is_measured(tmp_path: Path) -> None:
    table = ItemsTable(
        path=("{SPAN}.jsonl",), id="id", text=("title",), numeric={}, categorical=("tags", "brand")
    )

    def statistics(name: str, tags: list[list[str]]) -> Any:
        raw = pa.record_batch(
            {"id": list("abcd"), "title": list("abcd"), "tags": tags, "brand": ["x", "y", "x", "y"]}
        )
        normal = normalise_items(raw, table, Where(file="items.jsonl", first_row=1))
        found = stats_impl.generate_statistics_in_memory(as_lists(normal.batch), tfdv.StatsOptions())
        path = tmp_path / name / "Split-all" / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(found.SerializeToString())
        return artifact(standard_artifacts.ExampleStatistics, tmp_path / name, ["all"])

    # No list comes back, and "red" is four of ten values and then one of eleven.
    red = [["red", "a", "b"], ["b", "red"], ["red", "c", "d"], ["red", "red", "red", "e"]]
    blue = [["a", "b", "red"], ["b", "c", "a"], ["d", "e", "c"], ["f", "blue"]]
    anomalies = artifact(standard_artifacts.ExampleAnomalies, tmp_path / "anomalies")
    Executor().Do(
        {"statistics": [statistics("now", blue)], "baseline_statistics": [statistics("before", red)]},
        {"anomalies": [anomalies]},
        {
            "distribution_validator_config": _comparators(["tags", "brand"], [], 0.1),
            "include_split_pairs": json_utils.dumps(None),
        },
    )

    drift = {one.column: one.distance for one in read_drift("items", anomalies.uri)}
    assert drift == {"tags": pytest.approx(4 / 10 - 1 / 11), "brand": pytest.approx(0.0)}


@pytest.mark.parametrize("is_json", [False, True], ids=["locally", "on Kubeflow"])
def test_column_that_moved_is_named_and_others_are_not(dataset: Write, tmp_path: Path, is_json: bool) -> None:
    before = _statistics(tmp_path / "before", ["a", "b"] * 50, [float(i % 10) for i in range(100)])
    now = _statistics(tmp_path / "now", ["a"] * 80 + ["b"] * 20, [float(i % 10) for i in range(100)])
    anomalies = artifact(standard_artifacts.ExampleAnomalies, tmp_path / "anomalies")
    columns = compared_columns(_in_spans(load_manifest(dataset())), "events")
    config = _comparators(*columns, 0.1)

    Executor().Do(
        {"statistics": [now], "baseline_statistics": [before]},
        {"anomalies": [anomalies]},
        {
            "distribution_validator_config": json_format.MessageToJson(config) if is_json else config,
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


def _log_whose_newest_window_is_all_from_portugal_for_a_new_item() -> tuple[str, str]:
    """Users and events: half of the users buy 001 and then 002, half 002 and then 001."""
    users = [f"{country[0]}{number}" for country in ("Norway", "Portugal") for number in range(20)]
    events = ["user,sku,at"]
    for position, user in enumerate(users):
        for day, item in enumerate(("001", "002") if position % 2 else ("002", "001"), start=1):
            events.append(f"{user},{item},2024-01-0{day}")
        if user.startswith("P"):
            events.append(f"{user},003,2024-01-05")
    countries = {"N": "Norway", "P": "Portugal"}
    return (
        "\n".join(["user,country", *(f"{user},{countries[user[0]]}" for user in users)]),
        "\n".join(events),
    )


def _skew_nodes(manifest: Manifest) -> list[Any]:
    examples = Channel(type=standard_artifacts.Examples)
    return skew_nodes(manifest, examples, features.EVENT_SPLITS, 0.1)


@pytest.mark.slow
def test_column_of_the_newest_window_that_differs_from_training_is_named(
    dataset: Write, tmp_path: Path
) -> None:
    users, events = _log_whose_newest_window_is_all_from_portugal_for_a_new_item()
    manifest = load_manifest(dataset(users__csv=users, events__csv=events))
    examples = artifact(
        standard_artifacts.Examples,
        build_interactions(manifest, tmp_path / "built") / "examples",
        list(features.EVENT_SPLITS),
    )
    statistics = artifact(standard_artifacts.ExampleStatistics, tmp_path / "statistics")
    anomalies = artifact(standard_artifacts.ExampleAnomalies, tmp_path / "anomalies")
    generator, validator = skew_nodes(
        manifest, Channel(type=standard_artifacts.Examples), features.EVENT_SPLITS, 0.1
    )

    StatisticsExecutor(context(tmp_path)).Do(
        {"examples": [examples]}, {"statistics": [statistics]}, generator.exec_properties
    )
    Executor().Do(
        {"statistics": [statistics], "baseline_statistics": [statistics]},
        {"anomalies": [anomalies]},
        validator.exec_properties,
    )
    skew = {one.column: one for one in read_drift("interactions", anomalies.uri)}

    unmoved = {"user_id", "kind", "history_rows", "history_counts"}
    assert set(skew) == unmoved | {"user/country", "target_rows"}
    assert {name for name, one in skew.items() if one.distance > one.limit} == {"user/country", "target_rows"}
    assert skew["user/country"].distance == pytest.approx(0.5)
    assert skew["target_rows"].distance == pytest.approx(1.0)
    assert skew["target_rows"].is_categorical


def test_query_and_value_are_compared_where_the_log_has_them(dataset: Write) -> None:
    manifest = load_manifest(dataset())
    assert manifest.events is not None
    events = dataclasses.replace(manifest.events, query="q", value="paid")
    asked = dataclasses.replace(manifest, events=events)

    def compared(manifest: Manifest) -> set[str]:
        _, validator = skew_nodes(
            manifest, Channel(type=standard_artifacts.Examples), features.EVENT_SPLITS, 0.1
        )
        config = validator.spec.exec_properties["distribution_validator_config"]
        return {feature.path.step[0] for feature in config.default_slice_config.feature}

    assert compared(asked) - compared(manifest) == {"query", "value"}
