from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from dataset.contract import Range
from dataset.errors import DataError
from dataset.manifest import Manifest, load_manifest
from pipeline.config import Config
from pipeline.local import locations_in
from pipeline.refresh import _require_same_columns, _with_times_of, create_refresh_pipeline, refresh
from tests.tiny_dataset import Write


def _nodes(manifest: Manifest, folder: Path) -> dict[str, Any]:
    pipeline = create_refresh_pipeline(
        manifest,
        Config(),
        trained_on=manifest.to_json(),
        replaces=3,
        locations=locations_in(folder, manifest),
    )
    return {node.id: node for node in pipeline.components}


@pytest.mark.slow
def test_refresh_reads_items_and_the_log_and_trains_nothing(dataset: Write, tmp_path: Path) -> None:
    nodes = _nodes(load_manifest(dataset()), tmp_path)

    assert set(nodes) == {
        "ExampleGen.items",
        "StatisticsGen.items",
        "SchemaGen.items",
        "ExampleValidator.items",
        "ExampleGen.events",
        "StatisticsGen.events",
        "SchemaGen.events",
        "ExampleValidator.events",
        "Resolver.last_pushed",
        "TransformApplier",
        "TextEmbedder",
        "IndexBuilder",
        "ServingValidator",
        "Pusher",
    }
    assert "ExampleValidator.items" in {node.id for node in nodes["TransformApplier"].upstream_nodes}
    assert "ServingValidator" in {node.id for node in nodes["Pusher"].upstream_nodes}
    assert nodes["Pusher"].exec_properties["replaces"] == 3


def test_folder_without_a_model_is_one_sentence(dataset: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There must be a pushed model in .*`tandem run DATASET`"):
        refresh(load_manifest(dataset()), workdir=tmp_path / "none")

    assert not (tmp_path / "none").exists()


def test_model_without_its_lineage_is_one_sentence(dataset: Write, tmp_path: Path) -> None:
    version = tmp_path / "run" / "serving" / "tandem" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()

    with pytest.raises(DataError, match="must hold the metadata of the run"):
        refresh(load_manifest(dataset()), workdir=tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"text": ("title", "body")}, 'items.text .* which is \\["title"\\]. Got \\["title", "body"\\]'),
        ({"categorical": ("brand",)}, "items.categorical must be"),
        ({"numeric": {"weight": Range()}}, "items.numeric must be"),
        ({"availability": "in_stock"}, 'items.availability .* which is null. Got "in_stock"'),
    ],
)
def test_columns_must_be_those_of_the_model(dataset: Write, changed: dict[str, Any], sentence: str) -> None:
    trained = load_manifest(dataset()).items

    with pytest.raises(DataError, match=sentence):
        _require_same_columns(dataclasses.replace(trained, **changed), trained)


def test_path_may_be_another(dataset: Write) -> None:
    trained = load_manifest(dataset()).items

    _require_same_columns(dataclasses.replace(trained, path=("other.csv",)), trained)


def test_times_of_availability_are_those_of_now(dataset: Write) -> None:
    trained = load_manifest(dataset())
    now = dataclasses.replace(trained.items, available_until="ends", path=("other.csv",))

    _require_same_columns(now, trained.items)
    refreshed = _with_times_of(now, trained)

    assert refreshed.items == dataclasses.replace(trained.items, available_until="ends")
    assert _with_times_of(trained.items, refreshed) == trained


def test_where_nothing_changed_the_manifest_is_the_same_text(dataset: Write) -> None:
    """Otherwise the index would be built again at each refresh."""
    text = load_manifest(dataset()).to_json()

    trained = Manifest.from_json(text)

    assert _with_times_of(trained.items, trained).to_json() == text
