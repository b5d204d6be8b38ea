"""Configuration of the models to serve: it is taken in at the start, and can be replaced while serving."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc
from tensorflow_serving.config import model_server_config_pb2

from serving.server.config_protos import parse_text
from serving.server.model_configs import check_names_and_paths, check_platforms, check_platforms_stay
from serving.server.status_error import StatusError, code_of, invalid_argument
from serving.server.versions.available import ServedModels
from serving.server.versions.paths import ModelPaths
from serving.server.versions.states import State, StateMonitor, VersionState

_log = logging.getLogger(__name__)
_LOOK_S = 0.2
_LIST = "model_config_list"

StillWanted = Callable[[], bool]


class Configuration:
    """The current ``ModelServerConfig``. A new one replaces it, model by model, without a gap.

    Args:
        served: The models that can be requested, with their labels.
        states: The states of all versions, which tell when a model has come up.
        paths: The base paths of the models.
        allow_unavailable_labels: Whether a label that is new or unchanged may point to a version that is not
            available yet.
    """

    def __init__(
        self,
        *,
        served: ServedModels,
        states: StateMonitor,
        paths: ModelPaths,
        allow_unavailable_labels: bool = False,
    ) -> None:
        self._served = served
        self._states = states
        self._paths = paths
        self._allow_unavailable_labels = allow_unavailable_labels
        self._config = model_server_config_pb2.ModelServerConfig()
        self._lock = threading.Lock()

    def replace(self, config: Any, *, still_wanted: StillWanted, noun: str = "model") -> None:
        """Serves what ``config`` lists and nothing else; waits until each new model is up or has failed.

        Args:
            config: A ``ModelServerConfig``.
            still_wanted: Asked now and then while waiting; false ends the wait, not the change.
            noun: The word for a model that does not come up.

        Raises:
            StatusError: If the configuration breaks a rule, or a new model does not come up. It is recorded
                as the current one all the same, once its paths and platforms are right.
        """
        while not self._lock.acquire(timeout=_LOOK_S):
            if not still_wanted():
                raise _cancelled()
        try:
            self._replace(config, still_wanted, noun)
        finally:
            self._lock.release()

    def _replace(self, config: Any, still_wanted: StillWanted, noun: str) -> None:
        kind = config.WhichOneof("config")
        current = self._config.WhichOneof("config")
        if current is not None and kind != _LIST:
            raise StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "Cannot transition to requested config. It is only legal to transition from one "
                "ModelConfigList to another.",
            )
        if kind is None:
            _log.info("Taking no action for empty config.")
            return
        if kind != _LIST:
            raise invalid_argument("ModelServer does not yet support custom model config.")
        models = config.model_config_list.config
        check_names_and_paths(models)
        check_platforms_stay(self._config.model_config_list.config, models)
        self._config.CopyFrom(config)

        self._served.set_labels(self._checked_labels(models))
        check_platforms(models)
        _log.info("Adding/updating models: %s", ", ".join(model.name for model in models) or "none")
        with self._states.arrivals({model.name for model in models} - self._paths.names) as arrivals:
            self._paths.follow(models)
            outcome = arrivals.wait(still_wanted=still_wanted)
        if outcome is None:
            raise _cancelled()
        _check_all_available(outcome, noun)
        if any(model.HasField("logging_config") for model in models):
            raise invalid_argument("No request-logger-creator provided.")
        _log.info("Finished adding/updating models")

    def _checked_labels(self, models: Iterable[Any]) -> dict[str, dict[str, int]]:
        for model in models:
            states = self._states.versions(model.name)
            for label, version in model.version_labels.items():
                known = self._served.labels(model.name).get(label, version)
                if self._allow_unavailable_labels and known == version:
                    continue
                if version not in states or states[version].state is not State.AVAILABLE:
                    raise StatusError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {model.name}, "
                        "which is not currently available for inference",
                    )
        return {model.name: dict(model.version_labels) for model in models if model.version_labels}


class ConfigFile:
    """Reads the file of a ``ModelServerConfig`` again and again, from a thread of its own.

    Args:
        path: A text proto.
        configuration: The configuration that it replaces; a file that is wrong is logged and changes nothing.
        poll_wait_s: Time between two looks.
    """

    def __init__(self, path: Path, configuration: Configuration, *, poll_wait_s: float) -> None:
        self._path = path
        self._configuration = configuration
        self._poll_wait_s = poll_wait_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="model config file", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Looks no longer."""
        self._stopped.set()

    def _follow(self) -> None:
        while not self._stopped.wait(self._poll_wait_s):
            try:
                config = parse_text(self._path, model_server_config_pb2.ModelServerConfig)
            except StatusError as error:
                _log.error("Failed to read ModelServerConfig file: %s", error.message)
                continue
            try:
                self._configuration.replace(config, still_wanted=lambda: not self._stopped.is_set())
            except StatusError as error:
                _log.error("PollFilesystemAndReloadConfig failed to ReloadConfig: %s", error.message)


def _check_all_available(outcome: Mapping[str, tuple[int, VersionState]], noun: str) -> None:
    failures = [
        f"{{{{name: {name} version: {version}}} due to error: "
        f"{code_of(state.error_code).name}: {state.error_message}}}, "
        for name, (version, state) in sorted(outcome.items())
        if state.state is State.END
    ]
    if failures:
        raise StatusError(
            grpc.StatusCode.UNKNOWN,
            f"{len(failures)} {noun}(s) did not become available: {{{''.join(failures)}}}",
        )


def _cancelled() -> StatusError:
    return StatusError(grpc.StatusCode.CANCELLED, "Nobody waits for the models to be loaded any more.")
