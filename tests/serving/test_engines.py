from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dataset.errors import DataError
from serving.engines import choose_engine, server_command


def _install(folder: Path, name: str) -> None:
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)


def test_auto_is_the_real_server_where_it_is_installed_and_never_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _install(tmp_path, "docker")
    assert choose_engine("auto") == "embedded"

    _install(tmp_path, "tensorflow_model_server")
    assert choose_engine("auto") == "binary"
    assert choose_engine("embedded") == "embedded"
    assert choose_engine("docker") == "docker"


@pytest.mark.parametrize(("engine", "needed"), [("binary", "tensorflow_model_server"), ("docker", "docker")])
def test_engine_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, needed: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DataError, match=f"^{needed} must be on the PATH for --engine {engine}"):
        choose_engine(engine)


def test_embedded_server_and_binary_get_the_flags_as_they_are() -> None:
    flags = ["--port=8500", "--enable_batching=true"]

    assert server_command("embedded", flags).arguments == [sys.executable, "-m", "serving.server", *flags]
    assert server_command("binary", flags).arguments == ["tensorflow_model_server", *flags]


def test_container_is_pinned_named_removed_and_reached_from_this_machine_only(tmp_path: Path) -> None:
    flags = ["--port=8500", "--rest_api_port=8501", f"--model_base_path={tmp_path}", "--model_name=tandem"]

    command = server_command("docker", flags)

    name = command.kill[-1]
    assert name.startswith("tandem-")
    assert command.arguments == [
        *("docker", "run", "--rm", f"--name={name}", "--init"),
        *("--publish=127.0.0.1:8500:8500", "--publish=127.0.0.1:8501:8501"),
        f"--mount=type=bind,source={tmp_path},target={tmp_path},readonly",
        *("--entrypoint=tensorflow_model_server", "tensorflow/serving:2.20.0", *flags),
    ]
    assert command.kill == ["docker", "rm", "--force", name]


def test_container_sees_the_models_of_a_config_file(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    config = tmp_path / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "a" base_path: "{tmp_path}/shop" }}\n'
        'config { name: "b" base_path: "/nowhere/at/all" } }'
    )

    arguments = server_command(
        "docker", ["--port=1", "--rest_api_port=0", f"--model_config_file={config}"]
    ).arguments

    assert [option for option in arguments if option.startswith(("--mount", "--publish"))] == [
        "--publish=127.0.0.1:1:1",
        f"--mount=type=bind,source={config},target={config},readonly",
        f"--mount=type=bind,source={tmp_path}/shop,target={tmp_path}/shop,readonly",
    ]
