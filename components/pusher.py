"""Pusher whose versions appear whole or not at all, and once."""

from __future__ import annotations

import os
import time
from typing import Any

from tfx.components.pusher.executor import Executor as TfxExecutor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.io import fileio
from tfx.types import Channel, artifact_utils, component_spec, standard_artifacts
from tfx.types.standard_component_specs import PusherSpec as TfxPusherSpec
from tfx.utils import io_utils

from serving.pushed_model import MODEL_NAME

_PARTIAL = ".partial-"
# Copying takes minutes at most; what is older was killed, and no push that is under way.
_KILLED_S = 3600


class Executor(TfxExecutor):
    """Copies under a name that servers ignore, then renames: a rename cannot be seen half done."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:
        """Pushes the model if both gates blessed it."""
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        base = os.path.join(exec_properties["destination"], MODEL_NAME)
        source = self.GetModelPath(input_dict)
        newest = newest_version(base)
        # TFX's cache knows what was pushed before, and not what was pushed since.
        if newest and _is_same(os.path.join(base, str(newest)), source):
            version_dir = os.path.join(base, str(newest))
        else:
            version_dir = push_version(source, base)
        self._MarkPushed(pushed, pushed_destination=version_dir, pushed_version=os.path.basename(version_dir))


def newest_version(base: str) -> int:
    """The newest version in a model's folder; 0 if there is none."""
    names = fileio.listdir(base) if fileio.exists(base) else []
    return max((int(name) for name in (n.rstrip("/") for n in names) if name.isdecimal()), default=0)


def _is_same(pushed: str, model: str) -> bool:
    """Whether a version is this model, whole: a rename on a bucket that is killed leaves a part."""
    fingerprints = []
    for folder in (pushed, model):
        # `tf.saved_model.save` writes it anew each time.
        path = os.path.join(folder, "fingerprint.pb")
        if not fileio.exists(path):
            return False
        with fileio.open(path, "rb") as file:
            fingerprints.append(file.read())
    return fingerprints[0] == fingerprints[1] and _files(pushed) == _files(model)


def _files(folder: str) -> set[str]:
    return {
        os.path.join(where.rstrip("/").removeprefix(folder.rstrip("/")), name)
        for where, _, names in fileio.walk(folder)
        for name in names
    }


def push_version(source: str, base: str) -> str:
    """Copies a SavedModel to a new version under a model's folder.

    Args:
        source: The SavedModel.
        base: The folder TF Serving watches.

    Returns:
        The version's folder. Its number is the time in seconds, or one above the newest if that is later.
    """
    fileio.makedirs(base)
    _remove_killed(base)
    version = str(max(int(time.time()), newest_version(base) + 1))
    partial, destination = os.path.join(base, f"{_PARTIAL}{version}"), os.path.join(base, version)
    io_utils.copy_dir(source, partial)
    fileio.rename(partial, destination)
    return destination


def _remove_killed(base: str) -> None:
    """Removes what pushes that were killed have copied; its name says since when it is there."""
    for name in (name.rstrip("/") for name in fileio.listdir(base)):
        begun = name.removeprefix(_PARTIAL)
        if name.startswith(_PARTIAL) and begun.isdecimal() and int(begun) < time.time() - _KILLED_S:
            fileio.rmtree(os.path.join(base, name))


class PusherSpec(TfxPusherSpec):
    """TFX's, with a destination that may be known only when the pipeline runs."""

    PARAMETERS = {
        "destination": component_spec.ExecutionParameter(type=str),
        "replaces": component_spec.ExecutionParameter(type=int, optional=True),
    }


class Pusher(base_component.BaseComponent):
    """Pushes where both gates have blessed, with the executor above.

    Args:
        model: The servable.
        model_blessing: From ModelGate; left out where only the index is new.
        infra_blessing: From ServingValidator.
        destination: The folder that holds one folder a model; may be a runtime parameter, which TFX's own
            Pusher, whose destination is a message, could only take as JSON.
        replaces: The newest version as the pipeline starts. A push that another one followed is then no
            reason, to TFX's cache, not to push again.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: Any,
        model_blessing: Any = None,
        infra_blessing: Any,
        destination: Any,
        replaces: int | None = None,
    ) -> None:
        super().__init__(
            spec=PusherSpec(
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                destination=destination,
                replaces=replaces,
                pushed_model=Channel(type=standard_artifacts.PushedModel),
            )
        )
