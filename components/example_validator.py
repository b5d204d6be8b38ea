"""ExampleValidator that stops the run: TFX's own only writes the anomalies down."""

from __future__ import annotations

from typing import Any

from tfx.components import ExampleValidator as TfxExampleValidator
from tfx.components.example_validator.executor import Executor as TfxExecutor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils

from dataset.errors import DataError


class Executor(TfxExecutor):
    """Raises on the first anomaly, after all of them were written."""

    def _Validate(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
        anomalies = super()._Validate(inputs, outputs)
        self._found = getattr(self, "_found", []) + [
            f'"{name}": {info.description.rstrip(".")}'
            for name, info in sorted(anomalies.anomaly_info.items())
        ]
        if anomalies.HasField("dataset_anomaly_info"):
            self._found.append(anomalies.dataset_anomaly_info.description.rstrip("."))
        return anomalies

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> Any:
        """Validates every split.

        Raises:
            DataError: The statistics break the schema.
        """
        result = super().Do(input_dict, output_dict, exec_properties)
        if self._found:
            uri = artifact_utils.get_single_uri(output_dict["anomalies"])
            raise DataError(
                f"The data must agree with its schema; column {'; column '.join(self._found)}. "
                f"Mend the data or the schema in the dataset's folder; all anomalies are in {uri}."
            )
        return result


class ExampleValidator(TfxExampleValidator):
    """TFX's ExampleValidator with the strict executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
