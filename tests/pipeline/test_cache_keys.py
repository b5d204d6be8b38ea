"""Which nodes run again when a setting changes: what docs/settings.md says, and what the pipeline does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from dataset.manifest import Manifest, load_manifest
from pipeline.config import Config, ResourceConfig
from pipeline.pipeline import Locations, create_pipeline
from tests.tiny_dataset import MANIFEST, Write

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"
# Another value than the default of each setting.
OTHER: dict[str, dict[str, Any]] = {
    "model": {
        "encoder": "bert_tiny_en_uncased",
        "trainable": "lora",
        "lora_rank": 4,
        "num_top_layers": 1,
        "pooling": "cls",
        "max_text_tokens": 16,
        "max_query_tokens": 16,
        "behaviour_dim": 128,
        "history_dim": 64,
        "history_heads": 2,
        "max_history": 50,
    },
    "train": {
        "epochs": 2,
        "judgment_epochs": 2,
        "patience": 3,
        "max_contexts": 1000,
        "max_minutes": 10.0,
        "batch_size": 32,
        "targets_per_query": 8,
        "uniform_negatives": 512,
        "learning_rate": 1e-4,
        "clip_norm": 2.0,
        "accumulation_steps": 2,
        "precision": "mixed_bfloat16",
        "item_dropout": 0.2,
        "history_dropout": 0.1,
        "user_dropout": 0.1,
        "recency_half_life_days": 30.0,
        "warm_start": True,
        "refit": False,
        "recommender_epochs": 2,
        "recommender_users": 100,
        "seed": 18,
    },
    "serve": {
        "num_candidates": 100,
        "max_users": 1000,
        "exploration_share": 0.1,
        "query_encoder": "encoder",
        "max_quality_loss": 0.02,
        "index": "approximate",
        "min_index_recall": 0.9,
        "max_latency_ms": 500.0,
        "tf_serving_version": "2.20",
    },
    "evaluation": {
        "allow_unmeasured": True,
        "task": "reorder",
        "min_ratio_to_best_baseline": 0.5,
        "min_cold_ratio": 0.5,
        "min_ratio_to_zero_shot": 0.5,
        "max_loss_to_blessed": 0.5,
        "max_drift": 0.2,
        "max_ease_items": 10,
    },
    "beam": {"runner": "PrismRunner", "options": ("--direct_num_workers=2",)},
    "kubeflow": {
        "default": ResourceConfig(cpu="4"),
        "nodes": {"Trainer": ResourceConfig(memory="8Gi")},
        "retries": 1,
        "cache": False,
    },
}
SETTINGS = [
    (section.name, setting.name)
    for section in dataclasses.fields(Config)
    for setting in dataclasses.fields(getattr(Config(), section.name))
]


def _parameters(manifest: Manifest, config: Config) -> dict[str, dict[str, Any]]:
    """What every node of the pipeline is told, by node."""
    locations = Locations(root="/root", data="/data", serving="/serving", cache="/cache", schemas="/none")
    pipeline = create_pipeline(manifest, config, locations=locations)
    return {node.id: dict(node.exec_properties) for node in pipeline.components}


def _documented() -> dict[str, set[str]]:
    """The table of the document, by setting."""
    table: dict[str, set[str]] = {}
    for settings, nodes in re.findall(r"^\| (`.+`) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE):
        names = set() if nodes == "none" else set(nodes.split(", "))
        table |= dict.fromkeys(re.findall(r"`(.+?)`", settings), names)
    return table


@pytest.fixture
def manifest(dataset: Write) -> Manifest:
    return load_manifest(dataset(MANIFEST.replace('"events.csv"', '"events-{SPAN}.csv"')))


def test_setting_runs_again_what_the_table_says(manifest: Manifest) -> None:
    before, found = _parameters(manifest, Config()), {}
    for section, setting in SETTINGS:
        values = dataclasses.replace(getattr(Config(), section), **{setting: OTHER[section][setting]})
        after = _parameters(manifest, dataclasses.replace(Config(), **{section: values}))
        found[f"{section}.{setting}"] = {n for n in after if after[n] != before.get(n)}

    assert found == _documented()


def test_same_settings_run_nothing_again(manifest: Manifest) -> None:
    assert _parameters(manifest, Config()) == _parameters(manifest, Config())
