from __future__ import annotations

from pathlib import Path

from tfx.types import standard_artifacts

from components.curated_schema import CuratedSchema
from tests.components.in_memory import artifact, context


def test_schema_is_the_text(tmp_path: Path) -> None:
    outputs = {"schema": [artifact(standard_artifacts.Schema, tmp_path / "schema")]}
    executor = CuratedSchema.EXECUTOR_SPEC.executor_class(context(tmp_path))

    executor.Do({}, outputs, {"text": 'feature { name: "price" }'})

    assert (tmp_path / "schema" / "schema.pbtxt").read_text() == 'feature { name: "price" }'
