"""RetrievalEvaluator: the whole catalogue ranked for every test user and query, by us and by baselines."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import InteractionSummary, RetrievalEvaluation, TextEmbeddings
from components.retrieval_evaluator.executor import Executor


class RetrievalEvaluatorSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters."""

    PARAMETERS = {
        "manifest": component_spec.ExecutionParameter(type=str),
        "config": component_spec.ExecutionParameter(type=str),
        "encoder": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
        "items": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "users": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "events": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "interactions": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "summary": component_spec.ChannelParameter(type=InteractionSummary),
        "text_embeddings": component_spec.ChannelParameter(type=TextEmbeddings),
    }
    OUTPUTS = {
        "evaluation": component_spec.ChannelParameter(type=RetrievalEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "candidates": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class RetrievalEvaluator(base_component.BaseComponent):
    """Measures the servable, compares it with baselines and the last blessed model, and blesses it or not.

    Args:
        inputs: Channels by name; ``baseline_model``, ``users`` and ``events`` may be left out.
        manifest: The dataset as JSON.
        config: The configuration as JSON.
        encoder: Its name, for the zero-shot baseline.
    """

    SPEC_CLASS = RetrievalEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, inputs: dict[str, Any], *, manifest: str, config: str, encoder: str):
        super().__init__(
            spec=RetrievalEvaluatorSpec(
                manifest=manifest,
                config=config,
                encoder=encoder,
                evaluation=types.Channel(type=RetrievalEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                candidates=types.Channel(type=standard_artifacts.Examples),
                **inputs,
            )
        )
