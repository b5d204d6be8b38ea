"""Resolves the latest span as TFX does, and notices a change in any span that is read."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfx.components.example_gen import driver, utils
from tfx.utils import io_utils

from components.table_example_gen.executor import settings_of
from dataset.span_paths import has_spans
from dataset.spans import spans_read


class Driver(driver.FileBasedDriver):
    """TFX's driver fingerprints the latest span alone, as its executor reads no other."""

    def resolve_exec_properties(
        self, exec_properties: dict[str, Any], pipeline_info: Any, component_info: Any
    ) -> dict[str, Any]:
        """Adds span and fingerprint, which become properties of the examples."""
        resolved: dict[str, Any] = super().resolve_exec_properties(
            exec_properties, pipeline_info, component_info
        )
        manifest, table = settings_of(resolved)
        manifest = dataclasses.replace(manifest, folder=resolved["input_base"])
        if has_spans(getattr(manifest, table).path):
            spans = spans_read(manifest, table, last=resolved[utils.SPAN_PROPERTY_NAME])
            resolved[utils.FINGERPRINT_PROPERTY_NAME] = "\n".join(
                io_utils.generate_fingerprint(str(span), file) for span in spans for file in spans[span]
            )
        return resolved
