"""The inputs of the model that was pushed last, found by the lineage in ML Metadata."""

from __future__ import annotations

import dataclasses
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.common.resolver import ResolverStrategy

_OUTPUTS = (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.DECLARED_OUTPUT)
_INPUTS = (metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.DECLARED_INPUT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Execution:
    """One execution of a component.

    Attributes:
        id: In the metadata store.
        inputs: Artifact ids by input name.
        parameters: Execution parameters, by name.
    """

    id: int
    inputs: dict[str, list[int]]
    parameters: dict[str, Any]


def maker_of(store: Any, artifact_id: int) -> Execution:
    """The execution that made an artifact; of those that only took it from the cache, none."""
    events = [e for e in store.get_events_by_artifact_ids([artifact_id]) if e.type in _OUTPUTS]
    made_by = min(event.execution_id for event in events)
    inputs: dict[str, list[int]] = {}
    for event in store.get_events_by_execution_ids([made_by]):
        if event.type in _INPUTS:
            inputs.setdefault(event.path.steps[0].key, []).append(event.artifact_id)
    (execution,) = store.get_executions_by_id([made_by])
    parameters = {
        name: getattr(value, value.WhichOneof("value")) for name, value in execution.custom_properties.items()
    }
    return Execution(id=made_by, inputs=inputs, parameters=parameters)


def pushed_last(store: Any) -> Execution | None:
    """The execution of Pusher that was the last to push; ``None`` if nothing was pushed."""
    pushed = [
        artifact.id
        for artifact in store.get_artifacts_by_type("PushedModel")
        if artifact.custom_properties["pushed"].int_value == 1
    ]
    return maker_of(store, max(pushed)) if pushed else None


def index_pushed_last(store: Any) -> Execution | None:
    """The execution of IndexBuilder whose servable was pushed last; ``None`` if nothing was pushed."""
    push = pushed_last(store)
    return maker_of(store, *push.inputs["model"]) if push else None


class LastPushed(ResolverStrategy):
    """Resolves channels named after IndexBuilder's inputs to those of the servable that was pushed last."""

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Keeps of each channel the one artifact, or none where nothing was pushed."""
        index = index_pushed_last(store)
        wanted = index.inputs if index else {}
        return {
            name: [artifact for artifact in artifacts if artifact.id in wanted.get(name, ())]
            for name, artifacts in input_dict.items()
        }
