"""TFX's Trainer with the catalogue, its embeddings and the interactions' summary as further inputs."""

from __future__ import annotations

import os
from typing import Any

from tensorflow.python.framework import config
from tfx import types
from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import trainer_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.standard_component_specs import TrainerSpec as TfxTrainerSpec
from tfx.utils import json_utils

from components.artifacts import InteractionSummary, TextEmbeddings
from models.worker import write_arguments

_FURTHER = {
    "item_examples": standard_artifacts.Examples,
    "item_transform_graph": standard_artifacts.TransformGraph,
    "text_embeddings": TextEmbeddings,
    "summary": InteractionSummary,
}
# Only a dataset with a log has it.
_EVENTS = "events"


class TrainerSpec(TfxTrainerSpec):
    """TFX's specification and the further inputs."""

    INPUTS = TfxTrainerSpec.INPUTS | {
        name: component_spec.ChannelParameter(type=kind) for name, kind in _FURTHER.items()
    }
    INPUTS[_EVENTS] = component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True)


class Executor(GenericExecutor):
    """Hands the further inputs to `run_fn` as folders, named as they are."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:
        """Trains."""
        try:
            super().Do(input_dict, output_dict, exec_properties)
        finally:
            # `run_fn` makes all ops of the process deterministic. Nodes that follow there ask the servable,
            # and TensorFlow would refuse to tell it the time. Of this switch only one half is public.
            config.disable_op_determinism()

    def _GetFnArgs(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> Any:
        fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
        for name in _FURTHER:
            setattr(fn_args, name, artifact_utils.get_single_uri(input_dict[name]))
        events = input_dict.get(_EVENTS)
        fn_args.events = artifact_utils.get_single_uri(events) if events else None
        fn_args.interactions = artifact_utils.get_single_uri(input_dict["examples"])
        if os.environ.get("TF_CONFIG"):
            write_arguments(fn_args)
        return fn_args


class Trainer(base_component.BaseComponent):
    """Trains by ``models.training.run_fn``, on TFX's generic executor.

    Args:
        examples: Transformed interactions.
        transform_graph: What transformed them.
        splits: Those trained on.
        further: Channels for ``item_examples``, ``item_transform_graph``, ``text_embeddings``,
            ``summary`` and, where there is a log, ``events``.
        custom_config: What `run_fn` is told.
        base_model: An earlier trained model to begin from, in a channel that may be empty.
    """

    # TFX's own Trainer makes its specification itself, which leaves no place for further inputs.
    SPEC_CLASS = TrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        examples: Any,
        transform_graph: Any,
        splits: list[str],
        further: dict[str, Any],
        custom_config: dict[str, Any],
        base_model: Any = None,
    ) -> None:
        super().__init__(
            spec=TrainerSpec(
                examples=examples,
                transform_graph=transform_graph,
                train_args=trainer_pb2.TrainArgs(splits=splits),
                eval_args=trainer_pb2.EvalArgs(splits=splits),
                run_fn="models.training.run_fn",
                base_model=base_model,
                custom_config=json_utils.dumps(custom_config),
                model=types.Channel(type=standard_artifacts.Model),
                model_run=types.Channel(type=standard_artifacts.ModelRun),
                **further,
            )
        )
