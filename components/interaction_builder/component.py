"""InteractionBuilder: joins events, users and judgments with the catalogue into training examples."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import InteractionSummary
from components.interaction_builder.executor import Executor


class InteractionBuilderSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters."""

    PARAMETERS = {
        "manifest": component_spec.ExecutionParameter(type=str),
        "max_history": component_spec.ExecutionParameter(type=int),
    }
    INPUTS = {
        "items": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "users": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "events": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "judgments": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
        "summary": component_spec.ChannelParameter(type=InteractionSummary),
    }


class InteractionBuilder(base_beam_component.BaseBeamComponent):
    """Builds histories from strictly earlier events, splits by time and by query, and counts what it drops.

    Args:
        tables: Examples by table name: ``items``, and any of ``users``, ``events``, ``judgments``.
        manifest: The dataset, as `Manifest.to_json` writes it.
        max_history: Items kept of a history.
    """

    SPEC_CLASS = InteractionBuilderSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, tables: dict[str, Any], *, manifest: str, max_history: int) -> None:
        super().__init__(
            spec=InteractionBuilderSpec(
                manifest=manifest,
                max_history=max_history,
                examples=types.Channel(type=standard_artifacts.Examples),
                schema=types.Channel(type=standard_artifacts.Schema),
                summary=types.Channel(type=InteractionSummary),
                **tables,
            )
        )
