from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.server.versions.paths import ModelPaths, find_versions, select_versions
from tests.serving.server.light_models import wait_until


def _version(base_path: Path, name: str) -> Path:
    path = base_path / name
    path.mkdir(parents=True)
    (path / "saved_model.pb").touch()
    return path


def _model(base_path: Path, *, policy: str = "") -> Any:
    model = model_server_config_pb2.ModelConfig(name=base_path.name, base_path=str(base_path))
    return text_format.Parse(f"model_version_policy {{ {policy} }}", model)


class _Aspired(dict[str, dict[int, Path]]):
    """Remembers what was last asked for, by model."""

    def __init__(self) -> None:
        self.num_calls = 0

    def __call__(self, name: str, versions: Mapping[int, Path]) -> None:
        self.num_calls += 1
        self[name] = dict(versions)


def test_versions_are_the_directories_named_by_a_number(tmp_path: Path) -> None:
    paths = {1: _version(tmp_path, "1"), 123: _version(tmp_path, "00000123"), 0: _version(tmp_path, "0")}
    for name in ("v2", "3-new", "-4", "5 ", "٦", ".tmp-7", "1e3", str(2**63)):
        _version(tmp_path, name)
    (tmp_path / "8").touch()

    assert find_versions(tmp_path) == (paths, [])


def test_version_without_its_graph_is_not_there_yet(tmp_path: Path) -> None:
    path = _version(tmp_path, "1")
    (path / "saved_model.pb").rename(path / "saved_model.pb.part")

    versions, (complaint,) = find_versions(tmp_path)

    assert versions == {}
    assert (
        complaint == f"Version directory {path} has no saved_model.pb yet, and is not loaded before it has."
    )


def test_of_two_names_for_one_number_the_later_counts(tmp_path: Path) -> None:
    _version(tmp_path, "007")
    later = _version(tmp_path, "07")

    versions, (complaint,) = find_versions(tmp_path)

    assert versions == {7: later}
    assert "Version 7 will be loaded from 07, 007 will be ignored." in complaint


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", [9]),
        ("latest {}", [9]),
        ("latest { num_versions: 2 }", [9, 5]),
        ("latest { num_versions: 7 }", [9, 5, 2]),
        ("all {}", [2, 5, 9]),
        ("specific { versions: 2 versions: 9 versions: 11 }", [2, 9]),
        ("specific {}", []),
    ],
)
def test_policy_selects_versions(policy: str, expected: list[int]) -> None:
    found = {number: Path(f"/m/{number}") for number in (2, 5, 9)}
    model = _model(Path("/m"), policy=policy)

    assert select_versions(found, model.model_version_policy) == {
        number: found[number] for number in expected
    }


def test_missing_base_path_changes_nothing_for_any_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _version(tmp_path / "a", "1")
    aspired = _Aspired()
    paths = ModelPaths(aspire=aspired, poll_wait_s=1)
    paths.follow([_model(tmp_path / "a"), _model(tmp_path / "b")])

    paths.look()
    paths.look()
    assert aspired == {}
    assert caplog.text.count(f"Could not find base path {tmp_path / 'b'} for servable b with error") == 1

    (tmp_path / "b").mkdir()
    paths.look()
    assert list(aspired["a"]) == [1]
    assert aspired["b"] == {}


def test_no_version_is_warned_about_once_and_again_after_there_was_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = ModelPaths(aspire=_Aspired(), poll_wait_s=1)
    paths.follow([_model(tmp_path)])
    warning = "Did you forget to name your leaf directory as a number (eg. '/1/')?"

    paths.look()
    paths.look()
    assert caplog.text.count(warning) == 1

    path = _version(tmp_path, "1")
    paths.look()
    path.rename(tmp_path / "gone")
    paths.look()
    assert caplog.text.count(warning) == 2


def test_specific_version_that_is_missing_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _version(tmp_path, "1")
    paths = ModelPaths(aspire=_Aspired(), poll_wait_s=1)
    paths.follow([_model(tmp_path, policy="specific { versions: 1 versions: 4 }")])

    paths.look()

    assert "Version 4 of servable" in caplog.text
    assert "Version 1 of servable" not in caplog.text


def test_model_no_longer_followed_is_unloaded_at_once(tmp_path: Path) -> None:
    _version(tmp_path / "a", "1")
    _version(tmp_path / "b", "1")
    aspired = _Aspired()
    paths = ModelPaths(aspire=aspired, poll_wait_s=1)
    paths.follow([_model(tmp_path / "a"), _model(tmp_path / "b")])
    paths.look()

    paths.follow([_model(tmp_path / "b")])

    assert aspired == {"a": {}, "b": {1: tmp_path / "b" / "1"}}
    assert paths.names == {"b"}


def test_path_may_be_a_file_uri(tmp_path: Path) -> None:
    path = _version(tmp_path, "1")
    aspired = _Aspired()
    paths = ModelPaths(aspire=aspired, poll_wait_s=1)
    paths.follow([model_server_config_pb2.ModelConfig(name="m", base_path=f"file://{tmp_path}")])

    paths.look()

    assert aspired["m"] == {1: path}


def test_looks_go_on_while_polling(tmp_path: Path) -> None:
    aspired = _Aspired()
    paths = ModelPaths(aspire=aspired, poll_wait_s=0.01)
    paths.follow([_model(tmp_path)])
    paths.start()
    wait_until(lambda: aspired.num_calls)

    _version(tmp_path, "1")

    wait_until(lambda: 1 in aspired[tmp_path.name])
    paths.stop()


def test_poll_of_zero_looks_once_after_each_change(tmp_path: Path) -> None:
    aspired = _Aspired()
    paths = ModelPaths(aspire=aspired, poll_wait_s=0)
    paths.follow([_model(tmp_path)])
    paths.start()
    wait_until(lambda: aspired.num_calls)
    calls = aspired.num_calls

    _version(tmp_path, "1")
    time.sleep(0.1)
    assert aspired.num_calls == calls

    paths.follow([_model(tmp_path)])
    wait_until(lambda: 1 in aspired[tmp_path.name])
    paths.stop()


def test_negative_poll_never_looks(tmp_path: Path) -> None:
    aspired = _Aspired()
    paths = ModelPaths(aspire=aspired, poll_wait_s=-1)
    paths.start()
    paths.follow([_model(tmp_path)])
    time.sleep(0.1)

    assert aspired.num_calls == 0


def test_look_that_fails_does_not_end_the_looking(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    def aspire(name: str, versions: Mapping[int, Path]) -> None:
        calls.append(name)
        raise RuntimeError("stale")

    paths = ModelPaths(aspire=aspire, poll_wait_s=0.01)
    paths.follow([_model(tmp_path)])
    with caplog.at_level(logging.CRITICAL):
        paths.start()
        wait_until(lambda: len(calls) > 2)
    paths.stop()
