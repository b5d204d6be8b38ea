"""TableExampleGen's driver: the latest span as TFX has it, and a fingerprint of every file that is read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from tfx.components.example_gen import driver, utils
from tfx.dsl.io import fileio

from components.table_example_gen.executor import settings_of
from dataset.spans import spans_read
from dataset.tables import expand_paths


class Driver(driver.FileBasedDriver):
    """TFX's driver with a fingerprint of the files that the manifest's paths mean.

    TFX's own is of the latest span alone, as its executor reads no other, and takes every path for a glob: a
    folder with brackets in its name has no files there, and no change is ever noticed.
    """

    def resolve_exec_properties(
        self, exec_properties: dict[str, Any], pipeline_info: Any, component_info: Any
    ) -> dict[str, Any]:
        """Adds span and fingerprint, which become properties of the examples."""
        resolved: dict[str, Any] = super().resolve_exec_properties(
            exec_properties, pipeline_info, component_info
        )
        manifest, table = settings_of(resolved)
        manifest = dataclasses.replace(manifest, folder=resolved["input_base"])
        spans = spans_read(manifest, table, last=resolved[utils.SPAN_PROPERTY_NAME])
        files = {str(span): spans[span] for span in spans}
        queries = getattr(getattr(manifest, table), "queries", None)
        if queries:
            files["queries"] = expand_paths(queries, manifest.folder)
        resolved[utils.FINGERPRINT_PROPERTY_NAME] = "\n".join(
            f"{name},{_fingerprint(files[name])}" for name in files
        )
        return resolved


def _fingerprint(files: Sequence[str]) -> str:
    """Number and size of files, and a digest of their paths, sizes and times."""
    digest, num_bytes = hashlib.sha256(), 0
    for file in files:
        found = fileio.stat(file)
        num_bytes += found.length
        # To the second, as not every filesystem knows more.
        digest.update(json.dumps([file, found.length, found.mtime_nsec // 10**9]).encode())
    return f"num_files:{len(files)},total_bytes:{num_bytes},sha256:{digest.hexdigest()}"
