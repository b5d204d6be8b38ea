"""Beam's own engine in Python, whose worker processes are told the options of the pipeline."""

from __future__ import annotations

from typing import Any

from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo, FnApiRunner
from apache_beam.runners.portability.portable_runner import JobServiceHandle


class DirectRunner(FnApiRunner):
    """`FnApiRunner` as Beam's ``DirectRunner`` starts it, where that does not choose the Prism engine.

    Started by its own name, `FnApiRunner` tells its workers nothing, not what they have to import either.
    """

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:
        """Runs a pipeline to its end."""
        encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
        self._provision_info = ExtendedProvisionInfo(
            beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
        )
        return super().run_pipeline(pipeline, options)
