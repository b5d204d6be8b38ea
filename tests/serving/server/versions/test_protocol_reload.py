"""The protocol as the real server behaves, as a table: HandleReloadConfigRequest and labels.

The requests that change nothing run against the server that ``SERVER_ADDRESS`` names, if it does; the others
change what a server serves, and run against one of our own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer
from tests.serving.server.light_models import wait_until
from tests.serving.server.requests import (
    failure,
    metadata_request,
    own_server_only,
    predict_request,
    status_request,
)

_REQUEST_COUNT = "/tensorflow/serving/request_count"
_TYPE = (
    "ServerModelConfig type not supported by HandleReloadConfigRequest. "
    "Only ModelConfigList is currently supported"
)


def _request(models: str = "", *, more: str = "") -> Any:
    text = f"config {{ model_config_list {{ {models} }} }} {more}"
    return text_format.Parse(text, model_management_pb2.ReloadConfigRequest())


def _model(
    name: str, base_path: Path | str, more: str = "", platform: str = 'model_platform: "tensorflow"'
) -> str:
    return f'config {{ name: "{name}" base_path: "{base_path}" {platform} {more} }}'


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        pytest.param(model_management_pb2.ReloadConfigRequest(), _TYPE, id="no config"),
        pytest.param(
            text_format.Parse(
                "config { custom_model_config {} }", model_management_pb2.ReloadConfigRequest()
            ),
            _TYPE,
            id="custom config",
        ),
        pytest.param(
            _request(_model("a", "/a") + _model("b", "b") + _model("a", "/c")),
            "Illegal to list model a multiple times in config list",
            id="name twice",
        ),
        pytest.param(
            _request(_model("tandem", "models/tandem", platform="")),
            "Expected model tandem to have an absolute path or URI; got base_path()=models/tandem",
            id="relative path",
        ),
        pytest.param(
            _request(_model("tandem", "/models/tandem", platform='model_platform: "other"')),
            "Illegal to change a model's platform. For model tandem platform was tensorflow and new platform "
            "requested is other",
            id="platform changes",
        ),
    ],
)
def test_configuration_that_breaks_a_rule_is_refused(model: Any, request_: Any, message: str) -> None:
    assert failure(lambda: model.HandleReloadConfigRequest(request_)) == ("INVALID_ARGUMENT", message)
    assert len(model.GetModelStatus(status_request()).model_version_status) == 1


class _Reloadable:
    """A server of our own that serves version 1 of ``tandem``, and stubs on it."""

    def __init__(self, root: Path, model_path: Path) -> None:
        self.root = root
        self._model_path = model_path
        self.publish("tandem", 1)
        config_file = root / "models.config"
        config_file.write_text(f"model_config_list {{ {_model('tandem', root / 'tandem')} }}")
        self.server = ModelServer(
            ServerConfig(
                model_config_file=config_file,
                host="localhost",
                port=0,
                file_system_poll_wait_seconds=0.05,
                max_num_load_retries=0,
            )
        )
        self.server.start()
        self._channel = grpc.insecure_channel(f"localhost:{self.server.port}")
        self.model = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()
        self.server.stop()

    def publish(self, name: str, version: int, *, broken: bool = False) -> None:
        path = self.root / name / str(version)
        path.parent.mkdir(exist_ok=True)
        if broken:
            path.mkdir()
            (path / "saved_model.pb").write_bytes(b"not a graph")
        else:
            path.symlink_to(self._model_path)

    def tandem(self, more: str = "") -> str:
        return _model("tandem", self.root / "tandem", more)

    def reload(self, *models: str, more: str = "") -> Any:
        return self.model.HandleReloadConfigRequest(_request(" ".join(models), more=more))

    def states(self, name: str) -> list[tuple[int, str]]:
        response = self.model.GetModelStatus(status_request(name))
        names = get_model_status_pb2.ModelVersionStatus.State
        return [(version.version, names.Name(version.state)) for version in response.model_version_status]


@pytest.fixture(scope="module")
def reloadable_server(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Reloadable]:
    reloadable = _Reloadable(tmp_path_factory.mktemp("reload"), model_path)
    yield reloadable
    reloadable.close()


@pytest.fixture
def reloadable(reloadable_server: _Reloadable) -> Iterator[_Reloadable]:
    yield reloadable_server
    reloadable_server.reload(reloadable_server.tandem())


@own_server_only
@pytest.mark.parametrize(
    ("more", "platform", "code", "message"),
    [
        pytest.param(
            "",
            "",
            "INVALID_ARGUMENT",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform, model name is new",
            id="no platform",
        ),
        pytest.param(
            "",
            'model_platform: "other"',
            "INVALID_ARGUMENT",
            "Model new requests unsupported platform other",
            id="unsupported platform",
        ),
        pytest.param(
            'version_labels { key: "stable" value: 1 }',
            'model_platform: "tensorflow"',
            "FAILED_PRECONDITION",
            "Request to assign label to version 1 of model new, which is not currently available for "
            "inference",
            id="label of an unavailable version",
        ),
    ],
)
def test_configuration_that_cannot_be_served_is_refused(
    reloadable: _Reloadable, more: str, platform: str, code: str, message: str
) -> None:
    new = _model("new", "/nowhere", more, platform)

    assert failure(lambda: reloadable.reload(new)) == (code, message)
    assert reloadable.states("tandem") == [(1, "AVAILABLE")]


@own_server_only
def test_new_model_that_fails_is_unknown_and_the_others_serve(reloadable: _Reloadable) -> None:
    reloadable.publish("broken", 3, broken=True)

    code, message = failure(
        lambda: reloadable.reload(reloadable.tandem(), _model("broken", reloadable.root / "broken"))
    )

    assert code == "UNKNOWN"
    assert message.startswith(
        "1 model(s) did not become available: {{{name: broken version: 3} due to error: "
    )
    assert message.endswith("}, }")
    assert reloadable.states("tandem") == [(1, "AVAILABLE")]
    ((version, state),) = reloadable.states("broken")
    assert (version, state) == (3, "END")


@own_server_only
def test_logging_is_refused(reloadable: _Reloadable) -> None:
    refused = failure(lambda: reloadable.reload(reloadable.tandem("logging_config {}")))

    assert refused == ("INVALID_ARGUMENT", "No request-logger-creator provided.")


@own_server_only
def test_call_ends_when_the_new_model_answers_and_tells_what_was_counted(reloadable: _Reloadable) -> None:
    (reloadable.root / "second").mkdir()
    responses: list[Any] = []
    metric_names = f'metric_names: "{_REQUEST_COUNT}" metric_names: "/no/such/metric"'
    second = _model("second", reloadable.root / "second")
    calling = threading.Thread(
        target=lambda: responses.append(reloadable.reload(reloadable.tandem(), second, more=metric_names))
    )
    calling.start()
    calling.join(0.3)
    assert calling.is_alive()
    for _ in range(2):
        reloadable.prediction.Predict(predict_request())

    reloadable.publish("second", 5)
    calling.join(20)

    request = predict_request()
    request.model_spec.name = "second"
    assert reloadable.prediction.Predict(request).model_spec.version.value == 5
    (response,) = responses
    assert response.HasField("status")
    assert (response.status.error_code, response.status.error_message) == (0, "")
    increases = [(metric.name, metric.int64_value_increase) for metric in response.metric]
    assert increases == [(_REQUEST_COUNT, 2), ("/no/such/metric", 0)]


@own_server_only
def test_model_left_out_is_unloaded_and_stays_listed(reloadable: _Reloadable) -> None:
    reloadable.publish("leaving", 1)
    reloadable.reload(reloadable.tandem(), _model("leaving", reloadable.root / "leaving"))
    assert reloadable.states("leaving") == [(1, "AVAILABLE")]

    reloadable.reload(reloadable.tandem())

    wait_until(lambda: reloadable.states("leaving") == [(1, "END")])
    request = predict_request()
    request.model_spec.name = "leaving"
    assert failure(lambda: reloadable.prediction.Predict(request)) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(leaving)",
    )


@own_server_only
def test_several_versions_are_served_and_found_by_label(reloadable: _Reloadable) -> None:
    reloadable.publish("labelled", 1)
    reloadable.publish("labelled", 2)
    base_path = reloadable.root / "labelled"
    everything = "model_version_policy { specific { versions: 1 versions: 2 } }"
    reloadable.reload(reloadable.tandem(), _model("labelled", base_path, everything))
    wait_until(lambda: reloadable.states("labelled") == [(2, "AVAILABLE"), (1, "AVAILABLE")])
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }'
    reloadable.reload(reloadable.tandem(), _model("labelled", base_path, everything + labels))

    def answer(call: Callable[[Any], Any], request: Any, **choice: Any) -> Any:
        request.model_spec.name = "labelled"
        for field, value in choice.items():
            if field == "version":
                request.model_spec.version.value = value
            else:
                request.model_spec.version_label = value
        return call(request).model_spec

    predict, metadata = reloadable.prediction.Predict, reloadable.prediction.GetModelMetadata
    choices: list[tuple[dict[str, Any], int]] = [
        ({}, 2),
        ({"version": 1}, 1),
        ({"version_label": "stable"}, 1),
        ({"version_label": "canary"}, 2),
    ]
    for choice, version in choices:
        spec = answer(predict, predict_request(), **choice)
        assert (spec.version.value, spec.version_label) == (version, "")
        assert answer(metadata, metadata_request(), **choice).version.value == version

    request = predict_request()
    request.model_spec.name = "labelled"
    request.model_spec.version_label = "Stable"
    assert failure(lambda: predict(request)) == (
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: Stable",
    )
    one = reloadable.model.GetModelStatus(status_request("labelled", version=1))
    assert [version.version for version in one.model_version_status] == [1]
    ignored = reloadable.model.GetModelStatus(status_request("labelled", label="stable"))
    assert [version.version for version in ignored.model_version_status] == [2, 1]
