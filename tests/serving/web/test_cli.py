from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import main
from serving.web import cli


def test_key_is_printed_once_and_found_again_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys"

    assert main(["web", "keys", "add", "shop", "--keys", str(path)]) == 0
    key = capsys.readouterr().out.strip()
    assert key.startswith("tandem_")
    assert main(["web", "keys", "list", "--keys", str(path)]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("shop  20")
    assert key not in listed + path.read_text()

    assert main(["web", "keys", "remove", "shop", "--keys", str(path)]) == 0
    assert path.read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "must have keys"),
        (["--port", "70000"], "--port must be between 0 and 65535. Got 70000."),
        (["--rate", "often"], "--rate must be a number of requests a time"),
        (["--server", "nonsense"], "address must be HOST:PORT"),
        (["--keys", "nowhere"], "The file of keys must exist"),
        (["--workdir", "nowhere"], "There must be a pushed model in"),
        (["--model-dir", "nowhere"], "--model-dir must be a directory. Got nowhere."),
        (["--workdir", "a", "--model-dir", "b"], "Either --workdir or --model-dir"),
        (["--tls-key", "key.pem"], "--tls-certificate and --tls-key must be given together"),
        (["--tls-key", "nowhere", "--tls-certificate", "nowhere"], "must be PEM files that belong together"),
        (["--log-key", "nowhere"], "The file of --log-key must be readable. Got nowhere."),
        (["--server-ca", "nowhere"], "A PEM file must exist and be readable. Got nowhere."),
        (["--trusted-proxy", "somebody"], "--trusted-proxy must be an address or a network. Got 'somebody'."),
        (["keys", "remove", "shop", "--keys", "nowhere"], "The file of keys must exist"),
    ],
)
def test_mistake_is_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["web", *arguments]) == 2

    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("tandem: ")
    assert sentence in last


@pytest.mark.parametrize("is_file", [True, False])
def test_secret_of_the_log_is_long_and_from_a_file_or_the_environment(
    is_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text("short\n")
    monkeypatch.setenv("TANDEM_LOG_KEY", "short")

    assert main(["web", *(["--log-key", str(tmp_path / "secret")] if is_file else [])]) == 2

    assert "at least 16 bytes" in capsys.readouterr().err


def test_models_files_are_those_of_the_latest_run_unless_the_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pushed = Path("runs", "shop", "serving", "tandem")

    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)

    def found(*arguments: str) -> Path | None:
        return cli.model_files_dir(parser.parse_args(arguments))

    assert found() is None
    (pushed / "1").mkdir(parents=True)
    (pushed / "1" / "saved_model.pb").touch()
    assert found() == pushed
    assert found("--server", "elsewhere:8500") is None
    assert found("--server", "elsewhere:8500", "--workdir", "runs/shop") == pushed
    assert found("--model-dir", str(tmp_path)) == tmp_path


def test_help_imports_nothing_slow() -> None:
    program = (
        "import json, sys; from pipeline.cli import main; main._parser(); "
        "print(json.dumps([m for m in ('fastapi', 'uvicorn', 'limits', 'tensorflow') if m in sys.modules]))"
    )
    root = Path(__file__).parents[3]

    output = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)

    assert json.loads(output.stdout) == []
