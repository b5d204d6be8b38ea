"""TFX's Trainer with the catalogue, its embeddings and the interactions' summary as further inputs."""

from __future__ import annotations

from typing import Any

from tfx.components.trainer.component import Trainer as TfxTrainer
from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.standard_component_specs import TrainerSpec as TfxTrainerSpec

from components.artifacts import InteractionSummary, TextEmbeddings

_FURTHER = {
    "item_examples": standard_artifacts.Examples,
    "item_transform_graph": standard_artifacts.TransformGraph,
    "text_embeddings": TextEmbeddings,
    "summary": InteractionSummary,
}


class TrainerSpec(TfxTrainerSpec):
    """TFX's specification and the further inputs."""

    INPUTS = TfxTrainerSpec.INPUTS | {
        name: component_spec.ChannelParameter(type=kind) for name, kind in _FURTHER.items()
    }


class Executor(GenericExecutor):
    """Hands the further inputs to `run_fn` as folders, named as they are."""

    def _GetFnArgs(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> Any:  # noqa: N802
        fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
        for name in _FURTHER:
            setattr(fn_args, name, artifact_utils.get_single_uri(input_dict[name]))
        fn_args.interactions = artifact_utils.get_single_uri(input_dict["examples"])
        return fn_args


class Trainer(TfxTrainer):
    """Trains by ``models.training.run_fn``.

    Args:
        further: Channels for ``item_examples``, ``item_transform_graph``, ``text_embeddings`` and ``summary``.
        arguments: As for TFX's Trainer.
    """

    SPEC_CLASS = TrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, *, further: dict[str, Any], **arguments: Any):
        super().__init__(**arguments)
        # TFX's constructor builds its own specification, without the further inputs.
        parameters = {**self.spec.inputs, **self.spec.outputs, **self.spec.exec_properties}
        self.spec = TrainerSpec(**parameters, **further)
