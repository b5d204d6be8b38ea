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
        "encoder": component_spec.ExecutionParameter(type=str),
        "pooling": component_spec.ExecutionParameter(type=str),
        "max_query_tokens": component_spec.ExecutionParameter(type=int),
        "max_ease_items": component_spec.ExecutionParameter(type=int),
        "learns_from_judgments": component_spec.ExecutionParameter(type=int),
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
        "candidates": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class RetrievalEvaluator(base_component.BaseComponent):
    """Measures the servable beside baselines and the last blessed model.

    Args:
        inputs: Channels by name; ``baseline_model``, ``users`` and ``events`` may be left out.
        manifest: The dataset as JSON.
        encoder: Its name, for the zero-shot baseline.
        pooling: ``own``, ``mean`` or ``cls``, likewise.
        max_query_tokens: Tokens kept of a query, likewise.
        max_ease_items: Catalogue size above which EASE is left out.
        learns_from_judgments: Whether search has learnt from the judgments; then only the test queries count.
    """

    SPEC_CLASS = RetrievalEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        inputs: dict[str, Any],
        *,
        manifest: str,
        encoder: str,
        pooling: str,
        max_query_tokens: int,
        max_ease_items: int,
        learns_from_judgments: bool,
    ) -> None:
        super().__init__(
            spec=RetrievalEvaluatorSpec(
                manifest=manifest,
                encoder=encoder,
                pooling=pooling,
                max_query_tokens=max_query_tokens,
                max_ease_items=max_ease_items,
                learns_from_judgments=int(learns_from_judgments),
                evaluation=types.Channel(type=RetrievalEvaluation),
                candidates=types.Channel(type=standard_artifacts.Examples),
                **inputs,
            )
        )
