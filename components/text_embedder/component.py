"""TextEmbedder: the frozen encoder's vector of each item, encoded only if its text or the encoder is new."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import TextEmbeddings
from components.text_embedder.executor import Executor


class TextEmbedderSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters."""

    PARAMETERS = {
        "encoder": component_spec.ExecutionParameter(type=str),
        "pooling": component_spec.ExecutionParameter(type=str),
        "cache_dir": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {"embeddings": component_spec.ChannelParameter(type=TextEmbeddings)}


class TextEmbedder(base_beam_component.BaseBeamComponent):
    """Encodes the catalogue.

    Args:
        examples: Transformed items.
        transform_graph: What transformed them.
        encoder: Its name, which `resolve_encoder` looks up wherever it is needed.
        pooling: ``own``, ``mean`` or ``cls``.
        cache_dir: Where vectors are kept from run to run, on any filesystem.
    """

    SPEC_CLASS = TextEmbedderSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self, *, examples: Any, transform_graph: Any, encoder: str, pooling: str, cache_dir: str
    ) -> None:
        super().__init__(
            spec=TextEmbedderSpec(
                examples=examples,
                transform_graph=transform_graph,
                encoder=encoder,
                pooling=pooling,
                cache_dir=cache_dir,
                embeddings=types.Channel(type=TextEmbeddings),
            )
        )
