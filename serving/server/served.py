"""Which versions can be requested at this moment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import grpc

from serving.server.loaded_model import LoadedModel
from serving.server.status_error import StatusError, invalid_argument


class ServedModels:
    """An immutable map from model and version to what is loaded, replaced as a whole on every change.

    Requests read it without a lock. One thread at a time may change it.
    """

    def __init__(self) -> None:
        self._models: Mapping[str, Mapping[int, LoadedModel]] = MappingProxyType({})

    def versions(self, name: str) -> Mapping[int, LoadedModel]:
        """The available versions of model ``name``."""
        return self._models.get(name, MappingProxyType({}))

    def add(self, name: str, version: int, model: LoadedModel) -> None:
        """Makes a version available."""
        self._replace(name, {**self.versions(name), version: model})

    def remove(self, name: str, version: int) -> LoadedModel:
        """Withdraws a version; requests that have it keep it until they are done."""
        versions = dict(self.versions(name))
        model = versions.pop(version)
        self._replace(name, versions)
        return model

    @contextlib.contextmanager
    def use(self, request: Any) -> Iterator[tuple[int, LoadedModel]]:
        """Resolves the request's ``model_spec`` and keeps that version loaded for the block.

        Raises:
            StatusError: As the real server words it, when the spec names nothing available.
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
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
        versions = self.versions(spec.name)
        if choice == "version":
            version, wanted = spec.version.value, f"Specific({spec.name}, {spec.version.value})"
        else:
            version, wanted = max(versions, default=-1), f"Latest({spec.name})"
        if version not in versions:
            raise StatusError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
        return version, versions[version]

    def _replace(self, name: str, versions: Mapping[int, LoadedModel]) -> None:
        self._models = MappingProxyType({**self._models, name: MappingProxyType(dict(versions))})
