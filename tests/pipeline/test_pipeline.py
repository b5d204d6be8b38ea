from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataset.manifest import load_manifest
from models.config import TrainConfig
from pipeline.config import Config
from pipeline.pipeline import Locations, create_pipeline
from tests.tiny_dataset import MANIFEST, Write

SAMPLES = Path(__file__).parents[2] / "samples"


def _nodes(
    dataset: Path,
    folder: Path,
    config: Config = Config(),  # noqa: B008 (frozen)
    *,
    pushes: bool = True,
) -> dict[str, Any]:
    locations = Locations(
        root=str(folder / "root"),
        data=str(dataset),
        serving=str(folder / "serving"),
        cache=str(folder / "cache"),
        schemas=str(dataset / "schema"),
    )
    pipeline = create_pipeline(load_manifest(dataset), config, locations=locations, pushes=pushes)
    return {node.id: node for node in pipeline.components}


def _is_after(nodes: dict[str, Any], node: str, earlier: str) -> bool:
    return any(
        upstream.id == earlier or _is_after(nodes, upstream.id, earlier)
        for upstream in nodes[node].upstream_nodes
    )


def test_every_table_is_checked_before_anything_is_built(dataset: Write, tmp_path: Path) -> None:
    nodes = _nodes(dataset(), tmp_path)

    for table in ("items", "users", "events"):
        for built in ("Transform.items", "InteractionBuilder", "Trainer"):
            assert _is_after(nodes, built, f"ExampleValidator.{table}")


@pytest.mark.parametrize("gate", ["ModelGate", "ServingValidator"])
def test_nothing_is_pushed_before_both_gates(dataset: Write, tmp_path: Path, gate: str) -> None:
    assert _is_after(_nodes(dataset(), tmp_path), "Pusher", gate)


def test_model_that_is_only_measured_is_held_against_no_other_and_not_pushed(
    dataset: Write, tmp_path: Path
) -> None:
    folder = dataset()
    run, measured = _nodes(folder, tmp_path), _nodes(folder, tmp_path, pushes=False)

    assert run.keys() - measured.keys() == {"Pusher", "Resolver.latest_blessed"}
    assert not measured.keys() - run.keys()
    for node in ("RetrievalEvaluator", "ModelGate"):
        assert set(run[node].inputs) - set(measured[node].inputs) == {"baseline_model"}


def test_nodes_follow_the_tables_of_the_dataset(tmp_path: Path) -> None:
    tables = {
        sample: {
            node.split(".")[1] for node in _nodes(SAMPLES / sample, tmp_path) if node.startswith("ExampleGen")
        }
        for sample in ("online_retail", "shopping_queries")
    }

    assert tables == {
        "online_retail": {"items", "users", "events"},
        "shopping_queries": {"items", "judgments"},
    }


def test_curated_schema_wins_over_the_inferred_one(dataset: Write, tmp_path: Path) -> None:
    folder = dataset()
    (folder / "schema").mkdir()
    (folder / "schema" / "events.pbtxt").write_text("# curated")

    nodes = _nodes(folder, tmp_path)

    assert type(nodes["SchemaGen.events"]).__name__ == "CuratedSchema"
    assert nodes["SchemaGen.events"].exec_properties["text"] == "# curated"
    assert type(nodes["SchemaGen.items"]).__name__ == "SchemaGen"
    assert not _is_after(nodes, "SchemaGen.events", "StatisticsGen.events")
    assert _is_after(nodes, "ExampleValidator.events", "SchemaGen.events")


def test_vocabularies_are_made_of_training_splits_alone(tmp_path: Path) -> None:
    analysed = {
        sample: _nodes(SAMPLES / sample, tmp_path)["Transform.interactions"].exec_properties["splits_config"]
        for sample in ("online_retail", "shopping_queries")
    }

    for sample, split in (("online_retail", "train"), ("shopping_queries", "judged_train")):
        analyse = analysed[sample].split('"transform"')[0]
        assert f'"{split}"' in analyse
        assert "test" not in analyse
        assert "validation" not in analyse


def test_model_begins_from_an_earlier_one_only_if_asked(dataset: Write, tmp_path: Path) -> None:
    folder = dataset()

    cold = _nodes(folder, tmp_path)
    warm = _nodes(folder, tmp_path, Config(train=TrainConfig(warm_start=True)))

    assert "Resolver.warm_start" not in cold
    assert "Resolver.warm_start" in {node.id for node in warm["Trainer"].upstream_nodes}


def test_table_in_spans_is_compared_with_its_last_one(dataset: Write, tmp_path: Path) -> None:
    folder = dataset(MANIFEST.replace('"events.csv"', '"events-{SPAN}.csv"'))

    nodes = _nodes(folder, tmp_path)

    assert [node for node in nodes if node.startswith("DriftValidator")] == ["DriftValidator.events"]
    assert _is_after(nodes, "DriftValidator.events", "Resolver.last_span.events")
    # It is looked at in the report, and stops nothing.
    assert not _is_after(nodes, "InteractionBuilder", "DriftValidator.events")


def test_newest_window_is_compared_with_training_wherever_there_are_events(tmp_path: Path) -> None:
    retail, shopping = (
        _nodes(SAMPLES / sample, tmp_path) for sample in ("online_retail", "shopping_queries")
    )

    assert _is_after(retail, "SkewValidator.interactions", "StatisticsGen.interactions")
    assert _is_after(retail, "StatisticsGen.interactions", "InteractionBuilder")
    # It is looked at in the report, and stops nothing.
    assert not _is_after(retail, "Pusher", "StatisticsGen.interactions")
    assert not {"SkewValidator.interactions", "StatisticsGen.interactions"} & set(shopping)
