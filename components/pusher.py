"""Pusher whose versions appear whole or not at all."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from tfx.components.pusher.component import Pusher as TfxPusher
from tfx.components.pusher.executor import Executor as TfxExecutor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils


class Executor(TfxExecutor):
    """Copies under a name that servers ignore, then renames: a rename cannot be seen half done."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:  # noqa: N802 (TFX's name)
        """Pushes the model if both gates blessed it."""
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = json.loads(exec_properties["push_destination"])["filesystem"]
        base = destination.get("base_directory") or destination["baseDirectory"]
        version_dir = push_version(self.GetModelPath(input_dict), base)
        self._MarkPushed(pushed, pushed_destination=version_dir, pushed_version=os.path.basename(version_dir))


def push_version(source: str, base: str) -> str:
    """Copies a SavedModel to a new version under a model's folder.

    Args:
        source: The SavedModel.
        base: The folder TF Serving watches.

    Returns:
        The version's folder. Its number is the time in seconds, or one above the newest if that is later.
    """
    fileio.makedirs(base)
    versions = [int(name) for name in (n.rstrip("/") for n in fileio.listdir(base)) if name.isdecimal()]
    version = str(max(int(time.time()), max(versions, default=0) + 1))
    partial, destination = os.path.join(base, f".partial-{version}"), os.path.join(base, version)
    io_utils.copy_dir(source, partial)
    fileio.rename(partial, destination)
    return destination


class Pusher(TfxPusher):
    """TFX's Pusher with the atomic executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
