"""The methods of TF Serving's services, a call of one of them, and the model it is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from serving.client import messages

Answer = TypeVar("Answer")


class Method(NamedTuple):
    """A method of TF Serving's services: its path and how its messages become bytes and back."""

    path: str
    serialize: Callable[[Any], bytes]
    parse: Callable[[bytes], Any]


def _method(name: str, request: Any, response: Any) -> Method:
    return Method(f"/tensorflow.serving.{name}", request.SerializeToString, response.FromString)


PREDICT = _method("PredictionService/Predict", messages.PredictRequest, messages.PredictResponse)
GET_MODEL_STATUS = _method(
    "ModelService/GetModelStatus", messages.GetModelStatusRequest, messages.GetModelStatusResponse
)
GET_MODEL_METADATA = _method(
    "PredictionService/GetModelMetadata", messages.GetModelMetadataRequest, messages.GetModelMetadataResponse
)
RELOAD_CONFIG = _method(
    "ModelService/HandleReloadConfigRequest", messages.ReloadConfigRequest, messages.ReloadConfigResponse
)
METHODS = (PREDICT, GET_MODEL_STATUS, GET_MODEL_METADATA, RELOAD_CONFIG)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call(Generic[Answer]):
    """One call that a client is to make.

    Attributes:
        method: The method to call.
        request: Its message; ``None`` if there is nothing to ask. Then ``read`` needs no response.
        read: Turns the response into the answer.
        timeout_s: Seconds to wait; ``None`` leaves it to the client.
    """

    method: Method
    request: Any
    read: Callable[[Any], Answer]
    timeout_s: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """The model to ask, and its version.

    Attributes:
        name: The name the server serves the model under.
        version: The version to ask; by default the newest that is available.
        version_label: The label of the version to ask.

    Raises:
        ValueError: If both a version and a label are given.
    """

    name: str
    version: int | None = None
    version_label: str | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.version_label is not None:
            raise ValueError(
                "At most one of version and version_label must be given. "
                f"Got {self.version} and {self.version_label!r}."
            )

    def write_to(self, spec: Any) -> None:
        """Fills in an empty ModelSpec."""
        spec.name = self.name
        if self.version is not None:
            spec.version.value = self.version
        if self.version_label is not None:
            spec.version_label = self.version_label
