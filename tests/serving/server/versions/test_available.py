from __future__ import annotations

from typing import Any, cast

import pytest
from tensorflow_serving.apis import predict_pb2

from serving.server.status_error import StatusError
from serving.server.versions.available import ServedModels
from serving.server.versions.loaded_model import LoadedModel
from tests.serving.server.light_models import LightModel


def _model() -> LoadedModel:
    return cast(LoadedModel, LightModel())


def _request(name: str = "m", **choice: Any) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    if "version" in choice:
        request.model_spec.version.value = choice["version"]
    if "label" in choice:
        request.model_spec.version_label = choice["label"]
    return request


@pytest.fixture
def served() -> ServedModels:
    """Versions 2 and 10 of model m; the label old is of version 2, lost of one that is not there."""
    served = ServedModels()
    served.add("m", 10, _model())
    served.add("m", 2, _model())
    served.set_labels({"m": {"old": 2, "lost": 7}})
    return served


@pytest.mark.parametrize(("choice", "version"), [({}, 10), ({"version": 2}, 2), ({"label": "old"}, 2)])
def test_request_gets_the_highest_version_unless_it_names_one(
    served: ServedModels, choice: dict[str, Any], version: int
) -> None:
    with served.use(_request(**choice)) as (used, model):
        assert used == version
        assert served.versions("m")[version] is model


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (predict_pb2.PredictRequest(), "Missing ModelSpec"),
        (_request(""), "ModelSpec has no name specified."),
        (_request("", label="old"), "ModelSpec has no name specified."),
        (_request(label="new"), "Unrecognized servable version label: new"),
        (_request("other", label="old"), "Unrecognized servable version label: old"),
        (_request("other"), "Servable not found for request: Latest(other)"),
        (_request(label="lost"), "Servable not found for request: Specific(m, 7)"),
        (_request(version=3), "Servable not found for request: Specific(m, 3)"),
        (_request(version=0), "Servable not found for request: Specific(m, 0)"),
    ],
)
def test_request_that_names_nothing_available_is_refused(
    served: ServedModels, request_: predict_pb2.PredictRequest, message: str
) -> None:
    with pytest.raises(StatusError) as error, served.use(request_):
        pass

    assert error.value.message == message


def test_model_whose_last_version_is_gone_is_not_found(served: ServedModels) -> None:
    served.remove("m", 2)
    served.remove("m", 10)

    with pytest.raises(StatusError, match=r"Latest\(m\)"), served.use(_request()):
        pass


def test_version_that_retires_between_look_and_use_is_looked_up_again(served: ServedModels) -> None:
    class _RetiresWhenUsed(LightModel):
        def retain(self) -> bool:
            served.remove("m", 11)
            return False

    served.add("m", 11, cast(LoadedModel, _RetiresWhenUsed()))

    with served.use(_request()) as (version, _):
        assert version == 10


def test_error_in_the_block_releases_the_model(served: ServedModels) -> None:
    with pytest.raises(RuntimeError), served.use(_request()):
        raise RuntimeError

    served.remove("m", 10).retire()
