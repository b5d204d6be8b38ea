"""Changes of the list of models, with models that load in no time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.server.configuration import ConfigFile, Configuration
from serving.server.status_error import StatusError
from serving.server.versions.available import ServedModels
from serving.server.versions.manager import VersionManager
from serving.server.versions.paths import ModelPaths
from tests.serving.server.light_models import History, LightLoader, wait_until

_UNAVAILABLE = (
    "Request to assign label to version {} of model {}, which is not currently available for inference"
)


def _config(text: str) -> Any:
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


class _Rig:
    """A configuration and all it works with; models lie in ``root``."""

    def __init__(self, root: Path, *, allow_unavailable_labels: bool) -> None:
        self.root = root
        self.load = LightLoader()
        self.served = ServedModels()
        self.history = History()
        self._manager = VersionManager(
            load=self.load,
            served=self.served,
            states=self.history,
            num_load_threads=4,
            max_num_load_retries=0,
        )
        self._paths = ModelPaths(aspire=self._manager.aspire, poll_wait_s=0.02)
        self.configuration = Configuration(
            served=self.served,
            states=self.history,
            paths=self._paths,
            allow_unavailable_labels=allow_unavailable_labels,
        )
        self._manager.start()
        self._paths.start()

    def stop(self) -> None:
        for gate in self.load.gates.values():
            gate.set()
        self._paths.stop()
        self._manager.stop(timeout_s=10)

    def publish(self, name: str, *versions: int) -> None:
        for version in versions:
            path = self.root / name / str(version)
            path.mkdir(parents=True)
            (path / "saved_model.pb").touch()

    def model(self, name: str, more: str = "") -> str:
        return (
            f'config {{ name: "{name}" base_path: "{self.root / name}" model_platform: "tensorflow" {more} }}'
        )

    def replace(self, *models: str, noun: str = "model") -> None:
        config = _config(f"model_config_list {{ {' '.join(models)} }}")
        self.configuration.replace(config, still_wanted=lambda: True, noun=noun)

    def refused(self, *models: str) -> tuple[str, str]:
        with pytest.raises(StatusError) as error:
            self.replace(*models)
        return error.value.code.name, error.value.message

    def resolve(self, name: str, label: str) -> int | str:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        request.model_spec.version_label = label
        try:
            with self.served.use(request) as (version, _):
                return version
        except StatusError as error:
            return error.message


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., _Rig]]:
    rigs: list[_Rig] = []

    def make(*, allow_unavailable_labels: bool = False) -> _Rig:
        rigs.append(_Rig(tmp_path, allow_unavailable_labels=allow_unavailable_labels))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.stop()


@pytest.fixture
def rig(make_rig: Callable[..., _Rig]) -> _Rig:
    return make_rig()


def test_new_models_are_available_when_the_call_returns(rig: _Rig) -> None:
    rig.publish("a", 1)
    rig.publish("b", 3, 4)

    rig.replace(rig.model("a"), rig.model("b"))

    assert (set(rig.served.versions("a")), set(rig.served.versions("b"))) == ({1}, {4})


def test_call_waits_for_a_model_that_has_no_version_yet(rig: _Rig) -> None:
    (rig.root / "a").mkdir()
    calling = threading.Thread(target=rig.replace, args=(rig.model("a"),))
    calling.start()
    calling.join(0.3)
    assert calling.is_alive()

    rig.publish("a", 1)

    calling.join(10)
    assert not calling.is_alive()


def test_models_left_out_are_unloaded_and_others_stay(rig: _Rig) -> None:
    rig.publish("a", 1)
    rig.publish("b", 1)
    rig.replace(rig.model("a"), rig.model("b"))
    kept = rig.served.versions("b")[1]

    rig.replace(rig.model("b"))

    wait_until(lambda: rig.history.of("a") == {1: "END"})
    assert rig.served.versions("b")[1] is kept
    rig.replace()
    wait_until(lambda: rig.history.of("b") == {1: "END"})


def test_model_that_comes_back_is_awaited_although_it_ended_before(rig: _Rig) -> None:
    rig.publish("a", 1)
    rig.replace(rig.model("a"))
    rig.replace()
    wait_until(lambda: rig.history.of("a") == {1: "END"})

    rig.replace(rig.model("a"))

    assert set(rig.served.versions("a")) == {1}


def test_policy_of_an_existing_model_changes_without_a_gap(rig: _Rig) -> None:
    rig.publish("a", 1, 2, 3)
    rig.replace(rig.model("a"))
    kept = rig.served.versions("a")[3]

    rig.replace(rig.model("a", "model_version_policy { specific { versions: 1 versions: 3 } }"))
    wait_until(lambda: set(rig.served.versions("a")) == {1, 3})
    assert rig.served.versions("a")[3] is kept

    rig.replace(rig.model("a", "model_version_policy { all {} }"))
    wait_until(lambda: set(rig.served.versions("a")) == {1, 2, 3})
    rig.replace(rig.model("a", "model_version_policy { latest { num_versions: 2 } }"))
    wait_until(lambda: set(rig.served.versions("a")) == {2, 3})
    assert rig.served.versions("a")[3] is kept


def test_older_version_comes_back_when_the_newer_one_is_withdrawn(rig: _Rig) -> None:
    rig.publish("a", 1, 2)
    rig.replace(rig.model("a"))
    assert rig.history.of("a") == {2: "AVAILABLE"}

    (rig.root / "a" / "2").rename(rig.root / "a" / ".withdrawn")

    wait_until(lambda: rig.history.of("a") == {2: "END", 1: "AVAILABLE"})


def test_vanished_base_path_unloads_nothing_and_an_empty_one_everything(rig: _Rig) -> None:
    rig.publish("a", 1)
    rig.replace(rig.model("a"))

    (rig.root / "a").rename(rig.root / "elsewhere")
    time.sleep(0.1)
    assert rig.history.of("a") == {1: "AVAILABLE"}

    (rig.root / "a").mkdir()
    wait_until(lambda: rig.history.of("a") == {1: "END"})


def test_models_that_fail_are_all_named(rig: _Rig) -> None:
    for name in ("a", "b", "good"):
        rig.publish(name, 1)
    rig.load.failures = {("a", 1): 1, ("b", 1): 1}

    refused = rig.refused(rig.model("b"), rig.model("good"), rig.model("a"))

    assert refused == (
        "UNKNOWN",
        "2 model(s) did not become available: {"
        "{{name: a version: 1} due to error: NOT_FOUND: no op in 1}, "
        "{{name: b version: 1} due to error: NOT_FOUND: no op in 1}, }",
    )
    assert set(rig.served.versions("good")) == {1}


def test_models_that_fail_at_the_start_are_called_servables(rig: _Rig) -> None:
    rig.publish("a", 2)
    rig.load.failures = {("a", 2): 1}

    with pytest.raises(
        StatusError, match=r"^1 servable\(s\) did not become available: {{{name: a version: 2} "
    ):
        rig.replace(rig.model("a"), noun="servable")


def test_refused_models_leave_everything_as_it_was(rig: _Rig) -> None:
    rig.publish("a", 1)
    rig.replace(rig.model("a"))

    assert rig.refused(rig.model("a"), rig.model("a")) == (
        "INVALID_ARGUMENT",
        "Illegal to list model a multiple times in config list",
    )
    assert set(rig.served.versions("a")) == {1}


def test_list_without_platform_does_not_bar_the_next_one(rig: _Rig) -> None:
    rig.publish("a", 1)
    nameless = f'config {{ name: "a" base_path: "{rig.root / "a"}" }}'

    assert rig.refused(nameless)[1] == (
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
        "ModelServerConfig::model_platform, model name is a"
    )
    rig.replace(rig.model("a"))


def test_deprecated_model_type_stands_for_the_platform(rig: _Rig) -> None:
    rig.publish("a", 1)
    path = rig.root / "a"

    rig.replace(f'config {{ name: "a" base_path: "{path}" model_type: TENSORFLOW }}')
    rig.replace(rig.model("a"))

    assert rig.refused(rig.model("a", "model_type: TENSORFLOW"))[1].startswith("Illegal setting both")
    other = f'config {{ name: "b" base_path: "{path}" model_type: OTHER }}'
    assert rig.refused(other) == ("INVALID_ARGUMENT", "ModelServerConfig::model_type choice 2 not supported.")


def test_empty_configuration_serves_nothing_and_may_be_replaced_once(rig: _Rig) -> None:
    rig.publish("a", 1)
    rig.configuration.replace(_config(""), still_wanted=lambda: True)
    rig.replace(rig.model("a"))

    with pytest.raises(StatusError) as error:
        rig.configuration.replace(_config(""), still_wanted=lambda: True)

    assert error.value.message.startswith("Cannot transition to requested config.")
    assert set(rig.served.versions("a")) == {1}


def test_logging_is_refused_after_the_models_have_changed(rig: _Rig) -> None:
    rig.publish("a", 1)

    assert rig.refused(rig.model("a", "logging_config {}")) == (
        "INVALID_ARGUMENT",
        "No request-logger-creator provided.",
    )
    assert set(rig.served.versions("a")) == {1}


def test_labels_resolve_and_move(rig: _Rig) -> None:
    rig.publish("a", 1, 2)
    everything = "model_version_policy { all {} }"
    rig.replace(rig.model("a", everything))
    wait_until(lambda: set(rig.served.versions("a")) == {1, 2})

    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }'
    rig.replace(rig.model("a", everything + labels))
    assert (rig.resolve("a", "stable"), rig.resolve("a", "canary")) == (1, 2)
    assert rig.resolve("b", "stable") == "Unrecognized servable version label: stable"

    rig.replace(rig.model("a", everything + 'version_labels { key: "stable" value: 2 }'))
    assert rig.resolve("a", "stable") == 2
    assert rig.resolve("a", "canary") == "Unrecognized servable version label: canary"


def test_label_stays_when_its_version_is_unloaded(rig: _Rig) -> None:
    rig.publish("a", 1)
    rig.replace(rig.model("a"))
    rig.replace(rig.model("a", 'version_labels { key: "stable" value: 1 }'))

    rig.publish("a", 2)
    wait_until(lambda: set(rig.served.versions("a")) == {2})

    assert rig.resolve("a", "stable") == "Servable not found for request: Specific(a, 1)"


def test_label_of_a_version_that_is_not_available_is_refused(rig: _Rig) -> None:
    rig.publish("a", 1)
    label = 'version_labels { key: "stable" value: 1 }'

    assert rig.refused(rig.model("a", label)) == ("FAILED_PRECONDITION", _UNAVAILABLE.format(1, "a"))
    assert not rig.served.versions("a")
    rig.replace(rig.model("a"))
    rig.replace(rig.model("a", label))


def test_label_failure_leaves_labels_and_models_as_they_were(rig: _Rig) -> None:
    rig.publish("a", 1)
    rig.replace(rig.model("a"))
    rig.replace(rig.model("a", 'version_labels { key: "stable" value: 1 }'))

    assert (
        rig.refused(rig.model("b", 'version_labels { key: "stable" value: 7 }'))[0] == "FAILED_PRECONDITION"
    )

    assert rig.resolve("a", "stable") == 1
    rig.replace(rig.model("a", 'version_labels { key: "stable" value: 1 }'))


def test_only_new_and_unmoved_labels_may_wait_for_their_version(make_rig: Callable[..., _Rig]) -> None:
    rig = make_rig(allow_unavailable_labels=True)
    rig.publish("a", 1)
    rig.replace(rig.model("a", 'version_labels { key: "next" value: 2 }'))
    assert rig.resolve("a", "next") == "Servable not found for request: Specific(a, 2)"

    rig.replace(rig.model("a", 'version_labels { key: "next" value: 2 }'))
    moved = rig.refused(rig.model("a", 'version_labels { key: "next" value: 3 }'))
    assert moved == ("FAILED_PRECONDITION", _UNAVAILABLE.format(3, "a"))
    rig.replace(rig.model("a", 'version_labels { key: "next" value: 1 }'))
    assert rig.resolve("a", "next") == 1


def test_caller_that_is_gone_is_waited_for_no_longer(rig: _Rig) -> None:
    (rig.root / "a").mkdir()
    config = _config(f"model_config_list {{ {rig.model('a')} }}")

    with pytest.raises(StatusError) as error:
        rig.configuration.replace(config, still_wanted=lambda: False)

    assert error.value.code.name == "CANCELLED"
    rig.publish("a", 1)
    wait_until(lambda: set(rig.served.versions("a")) == {1})


def test_second_change_waits_for_the_first(rig: _Rig) -> None:
    gate = rig.load.gates["a", 1] = threading.Event()
    rig.publish("a", 1)
    rig.publish("b", 1)
    first = threading.Thread(target=rig.replace, args=(rig.model("a"),))
    first.start()
    wait_until(lambda: rig.load.attempts)
    second = threading.Thread(target=rig.replace, args=(rig.model("a"), rig.model("b")))
    second.start()
    time.sleep(0.2)
    assert not rig.served.versions("b")

    gate.set()
    first.join(10)
    second.join(10)
    assert set(rig.served.versions("b")) == {1}


def test_file_is_read_again_and_a_bad_one_changes_nothing(
    rig: _Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig.publish("a", 1)
    rig.publish("b", 1)
    path = tmp_path / "models.config"

    def write(text: str) -> None:
        (tmp_path / "models.config.new").write_text(text)
        (tmp_path / "models.config.new").rename(path)

    file = ConfigFile(path, rig.configuration, poll_wait_s=0.02)
    file.start()
    wait_until(lambda: "Failed to read ModelServerConfig file: " in caplog.text)
    write(f"model_config_list {{ {rig.model('a')} }}")
    wait_until(lambda: set(rig.served.versions("a")) == {1})

    write("model_config_list {")
    wait_until(lambda: f"Invalid protobuf file: '{path}'" in caplog.text)
    write(f"model_config_list {{ {rig.model('a')} {rig.model('a')} }}")
    wait_until(lambda: "PollFilesystemAndReloadConfig failed to ReloadConfig: Illegal to list" in caplog.text)
    assert set(rig.served.versions("a")) == {1}

    write(f"model_config_list {{ {rig.model('b')} }}")
    wait_until(lambda: rig.history.of("a") == {1: "END"})
    wait_until(lambda: set(rig.served.versions("b")) == {1})
    file.stop()
