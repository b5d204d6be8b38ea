"""What a real run's training is fed with is fit for an accelerator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dataset import features
from dataset.manifest import load_manifest
from models.config import ModelConfig, TrainConfig
from models.interactions import InteractionSource
from models.recency_sample import RecencySample
from tests.e2e.conftest import Run

pytestmark = pytest.mark.slow


def last(folder: Path) -> str:
    """The artifact of the latest execution."""
    return str(max(folder.iterdir(), key=lambda path: int(path.name)))


def test_batches_have_static_shapes_and_no_strings(retail: Run) -> None:
    transform = retail.workdir / "artifacts" / "Transform.interactions"
    source = InteractionSource(
        last(transform / "transformed_examples"),
        transform_graph=last(transform / "transform_graph"),
        manifest=load_manifest(retail.dataset),
        model=ModelConfig(max_history=7, max_query_tokens=12),
    )
    times = source.targets(features.TRAIN).times
    sample = RecencySample.of(np.ones(len(times)), 50)
    train = TrainConfig(batch_size=4, targets_per_query=3)
    spec = source.dataset([features.TRAIN], train, end_time=0, sample=sample).element_spec

    assert spec[features.HISTORY_ROWS].shape == [4, 7]
    assert spec[features.TARGET_ROWS].shape == [4, 3]
    assert all(column.shape.is_fully_defined() for column in spec.values())
    assert tf.string not in {column.dtype for column in spec.values()}
