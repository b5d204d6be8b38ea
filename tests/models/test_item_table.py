from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_transform as tft

from benchmarks.data_nodes import Nodes
from dataset import features
from dataset.manifest import Manifest, load_manifest
from models.config import ModelConfig
from models.item_table import ItemTable, load_item_table, read_item_columns, read_item_features
from models.tokenizer import Tokenizer
from pipeline.beam import BeamConfig

MANIFEST = """
name = "shop"
[items]
path = "items.jsonl"
id = "sku"
text = ["title", "tags"]
categorical = ["room", "tags", "use"]
separator = { use = "|" }
[events]
path = "events.csv"
user = "user"
item = "sku"
time = "at"
kind = "purchase"
"""
ITEMS = [
    {"sku": "e", "title": "New table", "room": "hall", "tags": "Gifts", "use": "desk | dinner"},
    {"sku": "a", "title": "Red lamp", "room": "hall", "tags": ["Kitchen", "Gifts"], "use": "light"},
    {
        "sku": "b",
        "title": "Lamp",
        "room": "attic",
        "tags": ["Gifts", None, " Bed,\nbath ", "Gifts"],
        "use": "",
    },
    {"sku": "c", "title": ["Old", "chair"], "room": "hall", "tags": [], "use": "|"},
    {"sku": "d", "title": "New chair", "room": None, "tags": ["Kitchen"], "use": "desk"},
]
VALUES = {
    "room": [[b"hall"], [b"attic"], [b"hall"], [b""], [b"hall"]],
    "tags": [[b"Kitchen", b"Gifts"], [b"Gifts", b"Bed, bath"], [b""], [b"Kitchen"], [b"Gifts"]],
    "use": [[b"light"], [b""], [b""], [b"desk"], [b"desk", b"dinner"]],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the items went all the way to the model's features."""
    folder = tmp_path_factory.mktemp("lists")
    (folder / "dataset.toml").write_text(MANIFEST)
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    (folder / "events.csv").write_text("user,sku,at\nann,a,2024-01-01\n")
    nodes = Nodes(load_manifest(folder), BeamConfig().args(), folder)
    nodes.example_gen("items")
    nodes.analyse_items()
    nodes.transform_applier()
    return folder


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return load_manifest(folder)


@pytest.fixture(scope="module")
def items(folder: Path, manifest: Manifest) -> ItemTable:
    return load_item_table(
        manifest.items,
        examples_pattern=str(folder / "transformed" / "Split-all" / "*"),
        transform_graph=str(folder / "graph"),
        text_vectors=np.zeros((len(ITEMS), 2), np.float32),
    )


def test_items_have_each_value_of_their_lists(items: ItemTable) -> None:
    assert items.ids.tolist() == [b"a", b"b", b"c", b"d", b"e"]
    assert {column.name: column.values for column in items.categories} == VALUES


def test_vocabulary_has_each_value_and_the_most_frequent_first(folder: Path, items: ItemTable) -> None:
    graph = tft.TFTransformOutput(str(folder / "graph"))
    for column in items.categories:
        vocabulary = graph.vocabulary_by_name(features.vocabulary_of(column.name))
        given = [value for row in VALUES[column.name] for value in row if value]

        counts = [given.count(value) for value in vocabulary]
        assert sorted(vocabulary) == sorted(set(given))
        assert counts == sorted(counts, reverse=True)
        # One more, for no value and for one that is not known.
        assert column.size == len(vocabulary) + 1
        positions = {value: place for place, value in enumerate(vocabulary)}
        assert [positions.get(text, len(vocabulary)) for text in column.texts] == column.positions.tolist()


def test_list_that_is_text_too_is_its_values_joined(folder: Path) -> None:
    ids, columns = read_item_columns(str(folder / "items" / "Split-all" / "*"), ("title", "tags", "use"))

    assert ids == ["a", "b", "c", "d", "e"]
    assert columns["title"][2] == "Old chair"
    assert columns["tags"] == ["Kitchen Gifts", "Gifts Bed, bath", "", "Kitchen", "Gifts"]
    assert columns["use"] == ["light", "", "", "desk", "desk dinner"]


def test_encoder_sees_values_as_words_where_all_texts_are_categories(folder: Path) -> None:
    """A folder of its own, as here the tags are all the text that there is."""
    other = folder / "tags_alone"
    other.mkdir()
    text = MANIFEST.replace('text = ["title", "tags"]', 'text = ["tags"]')
    (other / "dataset.toml").write_text(text)
    for name in ("items.jsonl", "events.csv"):
        (other / name).write_bytes((folder / name).read_bytes())
    nodes = Nodes(load_manifest(other), BeamConfig().args(), other)
    nodes.example_gen("items")
    nodes.analyse_items()
    nodes.transform_applier()

    found: dict[str, Any] = read_item_features(
        str(other / "transformed" / "Split-all" / "*"), str(other / "graph")
    )

    assert found[features.TITLE].tolist() == [b"Kitchen Gifts", b"Gifts Bed, bath", b"", b"Kitchen", b"Gifts"]
    config = ModelConfig()
    tokens = Tokenizer.from_pretrained(config.encoder)(found[features.TITLE], length=config.max_text_tokens)
    np.testing.assert_array_equal(found[features.TOKENS], tokens)
