"""Rules that a list of models to serve must keep, in the real server's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from tensorflow_serving.config import model_server_config_pb2

from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.paths import local_path

TENSORFLOW = "tensorflow"


def single_model(name: str, base_path: str) -> Any:
    """The ``ModelServerConfig`` of one model with the default policy."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=TENSORFLOW)
    return config


def check_names_and_paths(models: Iterable[Any]) -> None:
    """Refuses a name listed twice and a path that depends on where the server was started.

    Raises:
        StatusError: If a name is listed twice or a path is relative or not local.
    """
    models = list(models)
    names = set()
    for model in models:
        if model.name in names:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
    for model in models:
        if "://" not in model.base_path and not model.base_path.startswith("/"):
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; "
                f"got base_path()={model.base_path}"
            )
    for model in models:
        if not local_path(model.base_path).is_absolute():
            raise invalid_argument(
                f"The path of model {model.name} must be on a local file system, the only kind this server "
                f"reads. Got base_path()={model.base_path}"
            )


def check_platforms_stay(old: Iterable[Any], new: Iterable[Any]) -> None:
    """Refuses another platform for a model that is served already.

    Raises:
        StatusError: If a model that is served already gets another platform.
    """
    platforms = {}
    for model in old:
        # A list whose platforms were refused may have been recorded; it must not stand in the way for ever.
        with contextlib.suppress(StatusError):
            platforms[model.name] = _platform(model)
    for model in new:
        if model.name in platforms and _platform(model) != platforms[model.name]:
            raise invalid_argument(
                f"Illegal to change a model's platform. For model {model.name} platform was "
                f"{platforms[model.name]} and new platform requested is {_platform(model)}"
            )


def check_platforms(models: Iterable[Any]) -> None:
    """Refuses models that are not TensorFlow's.

    Raises:
        StatusError: If the platform of a model is not TensorFlow's.
    """
    for model in models:
        platform = _platform(model)
        if platform != TENSORFLOW:
            raise invalid_argument(f"Model {model.name} requests unsupported platform {platform}")


def _platform(model: Any) -> str:
    if model.model_type != model_server_config_pb2.MODEL_TYPE_UNSPECIFIED:
        if model.model_platform:
            raise invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                f"ModelServerConfig::model_platform, model name is {model.name}"
            )
        if model.model_type != model_server_config_pb2.TENSORFLOW:
            raise invalid_argument(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
        return TENSORFLOW
    if not model.model_platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {model.name}"
        )
    platform: str = model.model_platform
    return platform
