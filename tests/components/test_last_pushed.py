from __future__ import annotations

from typing import Any

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2 as pb
from tfx.types import standard_artifacts

from components.last_pushed import LastPushed, index_pushed_last


class Lineage:
    """A metadata store in memory, written as TFX writes it."""

    def __init__(self) -> None:
        connection = pb.ConnectionConfig()
        connection.fake_database.SetInParent()
        self.store = mlmd.MetadataStore(connection)
        self._execution_type = self.store.put_execution_type(pb.ExecutionType(name="Component"))

    def run(
        self,
        output: str,
        kind: str,
        *,
        cached: int | None = None,
        pushed: int = 0,
        parameter: str = "",
        **inputs: int,
    ) -> int:
        """Runs a component, which makes an artifact or takes one from the cache; the artifact's id."""
        made = cached
        if made is None:
            type_id = self.store.put_artifact_type(pb.ArtifactType(name=kind))
            new = pb.Artifact(type_id=type_id, state=pb.Artifact.LIVE)
            new.custom_properties["pushed"].int_value = pushed
            (made,) = self.store.put_artifacts([new])
        execution = pb.Execution(type_id=self._execution_type)
        execution.custom_properties["config"].string_value = parameter
        (execution_id,) = self.store.put_executions([execution])
        events = [(made, output, pb.Event.OUTPUT)]
        events += [(artifact, name, pb.Event.INPUT) for name, artifact in inputs.items()]
        for artifact, name, direction in events:
            event = pb.Event(artifact_id=artifact, execution_id=execution_id, type=direction)
            event.path.steps.add().key = name
            event.path.steps.add().index = 0
            self.store.put_events([event])
        return made


@pytest.fixture
def lineage() -> Lineage:
    return Lineage()


def _trained(lineage: Lineage, *, pushed: int, name: str) -> tuple[int, int]:
    model = lineage.run("model", "Model")
    servable = lineage.run("servable", "Model", model=model, parameter=name)
    lineage.run("pushed_model", "PushedModel", model=servable, pushed=pushed)
    return model, servable


def _resolve(lineage: Lineage, models: list[int]) -> list[int]:
    artifacts: list[Any] = []
    for number in models:
        artifacts.append(standard_artifacts.Model())
        artifacts[-1].id = number
    return [
        found.id for found in LastPushed().resolve_artifacts(lineage.store, {"model": artifacts})["model"]
    ]


def test_trained_model_of_the_last_push_is_taken(lineage: Lineage) -> None:
    first, _ = _trained(lineage, pushed=1, name="first")
    second, servable = _trained(lineage, pushed=1, name="second")
    refused, _ = _trained(lineage, pushed=0, name="refused")

    assert _resolve(lineage, [first, second, servable, refused]) == [second]
    index = index_pushed_last(lineage.store)
    assert index is not None
    assert index.parameters["config"] == "second"


def test_refreshed_index_leads_to_the_model_it_was_built_from(lineage: Lineage) -> None:
    model, _ = _trained(lineage, pushed=1, name="first")
    refreshed = lineage.run("servable", "Model", model=model, parameter="refresh")
    lineage.run("pushed_model", "PushedModel", model=refreshed, pushed=1)

    assert _resolve(lineage, [model, refreshed]) == [model]


def test_execution_that_took_a_servable_from_the_cache_did_not_make_it(lineage: Lineage) -> None:
    model, servable = _trained(lineage, pushed=1, name="made")
    lineage.run("servable", "Model", cached=servable, model=model, parameter="cached")

    index = index_pushed_last(lineage.store)

    assert index is not None
    assert index.parameters["config"] == "made"


def test_without_a_push_there_is_nothing(lineage: Lineage) -> None:
    lineage.store.put_artifact_type(pb.ArtifactType(name="PushedModel"))
    assert index_pushed_last(lineage.store) is None
    model, _ = _trained(lineage, pushed=0, name="refused")

    assert index_pushed_last(lineage.store) is None
    assert _resolve(lineage, [model]) == []
