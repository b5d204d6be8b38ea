"""TFX's DistributionValidator, also on Kubeflow, and where there is nothing to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format
from tfx.components.distribution_validator.executor import Executor as TfxExecutor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto.distribution_validator_pb2 import DistributionValidatorConfig
from tfx.types import Channel, component_spec, standard_artifacts
from tfx.types.standard_component_specs import DistributionValidatorSpec
from tfx.utils import json_utils


class Executor(TfxExecutor):
    """Passes where there is no baseline, as TFX's means to."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> Any:
        """Compares, or not."""
        baseline = input_dict.get("baseline_statistics") or []
        config = exec_properties.get("distribution_validator_config")
        if isinstance(config, str):
            # Kubeflow hands on JSON, which TFX's executor does not read.
            config = json_format.Parse(config, DistributionValidatorConfig())
            exec_properties = exec_properties | {"distribution_validator_config": config}
        return super().Do(input_dict | {"baseline_statistics": baseline}, output_dict, exec_properties)


class DriftValidatorSpec(DistributionValidatorSpec):
    """TFX's requires a baseline: without one its node fails before its executor can pass."""

    INPUTS = DistributionValidatorSpec.INPUTS | {
        "baseline_statistics": component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        )
    }


class DriftValidator(base_component.BaseComponent):
    """Compares the distributions of columns with earlier ones, and writes down what moved.

    Args:
        statistics: Of now.
        baseline_statistics: Of before, in a channel that may be empty.
        config: Columns, distances and limits.
        split_pairs: Which split of now is compared with which of before; ``None`` for those of the same name.
    """

    SPEC_CLASS = DriftValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        statistics: Any,
        baseline_statistics: Any,
        config: Any,
        split_pairs: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(
            spec=DriftValidatorSpec(
                statistics=statistics,
                baseline_statistics=baseline_statistics,
                distribution_validator_config=config,
                include_split_pairs=json_utils.dumps(split_pairs),
                anomalies=Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )
