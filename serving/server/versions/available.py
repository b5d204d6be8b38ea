"""Models that can be requested at this moment: their versions and their labels."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import grpc

from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.loaded_model import LoadedModel

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class ServedModels:
    """Immutable maps from a model's versions to what is loaded and from its labels to versions.

    They are replaced as a whole on every change, so that requests read them without a lock.
    """

    def __init__(self) -> None:
        self._models: Mapping[str, Mapping[int, LoadedModel]] = _NOTHING
        self._labels: Mapping[str, Mapping[str, int]] = _NOTHING
        self._change = threading.Lock()

    def versions(self, name: str) -> Mapping[int, LoadedModel]:
        """The available versions of model ``name``."""
        return self._models.get(name, _NOTHING)

    def labels(self, name: str) -> Mapping[str, int]:
        """The labels of model ``name`` and the version each points to, available or not."""
        return self._labels.get(name, _NOTHING)

    def set_labels(self, labels: Mapping[str, Mapping[str, int]]) -> None:
        """Replaces the labels of all models."""
        self._labels = MappingProxyType({name: MappingProxyType(dict(own)) for name, own in labels.items()})

    def add(self, name: str, version: int, model: LoadedModel) -> None:
        """Makes a version available."""
        with self._change:
            self._replace(name, {**self.versions(name), version: model})

    def remove(self, name: str, version: int) -> LoadedModel:
        """Withdraws a version; requests that have it keep it until they are done."""
        with self._change:
            versions = dict(self.versions(name))
            model = versions.pop(version)
            self._replace(name, versions)
        return model

    @contextlib.contextmanager
    def use(self, request: Any) -> Iterator[tuple[int, LoadedModel]]:
        """Resolves the request's ``model_spec`` and keeps that version loaded for the block.

        Raises:
            StatusError: If the spec names nothing available.
        """
        version, model = self._resolve(request)
        while not model.retain():
            version, model = self._resolve(request)
        try:
            yield version, model
        finally:
            model.release()

    def _resolve(self, request: Any) -> tuple[int, LoadedModel]:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        spec = request.model_spec
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        versions = self.versions(spec.name)
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            version, wanted = max(versions, default=-1), f"Latest({spec.name})"
        else:
            version = spec.version.value if choice == "version" else self._version_of(spec)
            wanted = f"Specific({spec.name}, {version})"
        if version not in versions:
            raise StatusError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
        return version, versions[version]

    def _version_of(self, spec: Any) -> int:
        version = self.labels(spec.name).get(spec.version_label)
        if version is None:
            raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
        return version

    def _replace(self, name: str, versions: Mapping[int, LoadedModel]) -> None:
        models = {**self._models, name: MappingProxyType(dict(versions))}
        self._models = MappingProxyType({name: own for name, own in models.items() if own})
