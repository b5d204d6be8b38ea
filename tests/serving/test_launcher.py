"""``tandem serve`` as a process.

Neither ``tensorflow_model_server`` nor Docker is where tests run. Executables of their names stand in, which
run another server with the arguments they are given: what is shown is the launcher, not them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
import trustme

from dataset.errors import DataError
from serving.client import Client
from serving.client.tls import TlsConfig
from serving.launcher import BATCHING_PARAMETERS
from serving.server.batching.parameters import BatchingParameters, read_batching_parameters
from tests.pipeline.cli.commands import run_command

Launch = Callable[..., "subprocess.Popen[str]"]
_ROOT = Path(__file__).resolve().parents[2]
_LIGHT_SERVER = [sys.executable, "-m", "tests.serving.light_server"]


@pytest.fixture
def workdir(base_path: Path, model_path: Path) -> Path:
    """A run's folder with the tiny model."""
    path = base_path / "run"
    shutil.copytree(model_path, path / "serving" / "tandem" / "1")
    return path


@pytest.fixture
def bin_path(tmp_path: Path) -> Path:
    """The folder that is first on the PATH."""
    path = tmp_path / "bin"
    path.mkdir()
    return path


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def launch(bin_path: Path, port: int) -> Iterator[Launch]:
    """Starts ``tandem serve`` on the port."""
    processes = []
    path = os.pathsep.join([str(bin_path), os.environ["PATH"]])

    def launch(*arguments: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "serve", "--port", str(port), *map(str, arguments)],
            env={**os.environ, "PATH": path, "PYTHONPATH": str(_ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield launch
    for process in processes:
        for child in psutil.Process(process.pid).children() if process.poll() is None else []:
            child.kill()
        process.kill()
        process.communicate()


def _install(path: Path, *lines: str) -> None:
    path.write_text("\n".join([f"#!{sys.executable}", "import os, signal, sys", *lines]))
    path.chmod(0o755)


def _install_light_server(bin_path: Path) -> None:
    _install(
        bin_path / "tensorflow_model_server",
        f"os.execv(sys.executable, {_LIGHT_SERVER} + sys.argv[1:])",
    )


def _wait_for_line(stream: Iterator[str] | None, words: str) -> str:
    assert stream is not None
    line = next((line for line in stream if words in line), "")
    assert line, f"{words} was never said"
    return line


@pytest.mark.slow
def test_real_server_answers_what_is_under_way_before_it_is_stopped(
    bin_path: Path, launch: Launch, port: int, base_path: Path, publish: Callable[..., None]
) -> None:
    """The real server has no handler for SIGTERM and ends at once; this one neither."""
    _install(
        bin_path / "tensorflow_model_server",
        "from serving.server.__main__ import main",
        "signal.signal = lambda *arguments: None",
        "sys.exit(main(sys.argv[1:]))",
    )
    publish(1)
    config = base_path.parent / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "shop" base_path: "{base_path}"\n'
        'model_platform: "tensorflow" } }'
    )
    answers: list[object] = []

    process = launch("--model_config_file", config)

    assert process.stdout is not None
    assert process.stdout.readline() == (
        f"Serving {config} with tensorflow_model_server on localhost:{port}\n"
    )
    with Client(f"localhost:{port}", model_name="shop", timeout_s=60) as client:
        slow = threading.Thread(
            target=lambda: answers.append(client.predict("wait", {"seconds": np.array([2.0])}))
        )
        slow.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        slow.join()
    assert len(answers) == 1
    assert process.wait(60) == 0


@pytest.mark.slow
def test_embedded_server_with_mutual_tls_is_ready_and_drained(
    launch: Launch, port: int, workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    ssl_config = tmp_path / "ssl.config"
    key, certificate, root = (
        pem.bytes().decode().replace("\n", "\\n")
        for pem in (issued.private_key_pem, issued.cert_chain_pems[0], ca.cert_pem)
    )
    ssl_config.write_text(
        f'server_key: "{key}" server_cert: "{certificate}" custom_ca: "{root}" client_verify: true'
    )
    process = launch("--workdir", workdir, "--engine", "embedded", "--ssl_config_file", ssl_config)

    line = _wait_for_line(process.stdout, "Serving")

    assert line == f"Serving {workdir}/serving/tandem with the embedded server on localhost:{port}\n"
    tls = ["--tls-ca", "ca.pem", "--tls-certificate", "own.pem", "--tls-key", "own.pem"]
    options = [option if option.startswith("--") else str(tmp_path / option) for option in tls]
    assert run_command("search", "hello", "-k", "2", "--server", f"localhost:{port}", *options) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    own = TlsConfig(ca=tmp_path / "ca.pem", certificate=tmp_path / "own.pem", key=tmp_path / "own.pem")
    answers: list[object] = []
    with Client(f"localhost:{port}", timeout_s=60, tls=own) as client:
        slow = threading.Thread(
            target=lambda: answers.append(client.predict("wait", {"seconds": np.array([2.0])}))
        )
        slow.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        slow.join()
    assert len(answers) == 1
    assert process.wait(60) == 0


def test_server_gets_its_flags_and_those_after_the_dashes(
    bin_path: Path, launch: Launch, port: int, workdir: Path, tmp_path: Path
) -> None:
    _install(
        bin_path / "tensorflow_model_server",
        f"open({str(tmp_path / 'flags')!r}, 'w').write('\\n'.join(sys.argv[1:]))",
        f"os.execv(sys.executable, {_LIGHT_SERVER} + sys.argv[1:])",
    )
    monitoring = tmp_path / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    options = ["--workdir", workdir, "--rest_api_port", port + 1, "--monitoring_config_file", monitoring]

    process = launch(*options, "--", "--file_system_poll_wait_seconds=5")

    assert _wait_for_line(process.stdout, "Serving").endswith(
        f"on localhost:{port}, REST on localhost:{port + 1}\n"
    )
    assert (tmp_path / "flags").read_text().splitlines() == [
        f"--port={port}",
        f"--rest_api_port={port + 1}",
        "--enable_batching=true",
        f"--batching_parameters_file={BATCHING_PARAMETERS}",
        f"--monitoring_config_file={monitoring}",
        "--file_system_poll_wait_seconds=5",
        f"--model_base_path={workdir}/serving/tandem",
        "--model_name=tandem",
    ]


def test_batching_is_set_up_for_lists_of_several_lengths() -> None:
    assert read_batching_parameters(BATCHING_PARAMETERS) == BatchingParameters(
        max_batch_size=1000,
        enable_large_batch_splitting=True,
        max_execution_batch_size=32,
        batch_timeout_micros=0,
        max_enqueued_batches=100,
        pad_variable_length_inputs=True,
    )


def test_container_is_started_stopped_and_removed_when_it_does_not_end(
    bin_path: Path, launch: Launch, workdir: Path, tmp_path: Path
) -> None:
    record = tmp_path / "docker.log"
    _install(
        bin_path / "docker",
        f"open({str(record)!r}, 'a').write(' '.join(sys.argv[1:3]) + '\\n')",
        "if sys.argv[1] == 'run':",
        "    flags = sys.argv[sys.argv.index('tensorflow/serving:2.20.0') + 1 :]",
        f"    os.execv(sys.executable, {_LIGHT_SERVER} + flags + ['--stubborn=true'])",
    )
    process = launch("--workdir", workdir, "--engine", "docker")
    _wait_for_line(process.stdout, "Serving")
    time.sleep(0.1)

    process.send_signal(signal.SIGTERM)
    # The second one is for who does not want to wait for what is under way.
    time.sleep(1)
    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 1
    assert record.read_text().splitlines() == ["run --rm", "rm --force"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_signal_stops_the_server_even_while_it_starts(
    bin_path: Path, launch: Launch, workdir: Path, number: signal.Signals
) -> None:
    _install(bin_path / "tensorflow_model_server", "print('starting', flush=True)", "signal.pause()")
    process = launch("--workdir", workdir)
    _wait_for_line(process.stderr, "starting")
    children = psutil.Process(process.pid).children()

    process.send_signal(number)

    assert process.wait(30) == 0
    assert len(children) == 1
    assert not children[0].is_running()


def test_server_that_does_not_start_is_quoted_and_its_exit_code_kept(
    bin_path: Path, launch: Launch, workdir: Path
) -> None:
    _install_light_server(bin_path)

    process = launch("--workdir", workdir, "--", "--end_with=7")

    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (7, "")
    assert errors.splitlines()[-1] == (
        f"tandem: The server of {workdir}/serving/tandem must start, and ended with exit code 7. "
        "It said: starting | No space for the model."
    )


def test_server_that_dies_later_ends_the_command_as_a_shell_would(
    bin_path: Path, launch: Launch, workdir: Path
) -> None:
    _install_light_server(bin_path)
    process = launch("--workdir", workdir)
    _wait_for_line(process.stdout, "Serving")

    psutil.Process(process.pid).children()[0].kill()

    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL
    assert errors.splitlines()[-1] == "tandem: The server ended by itself. It said: starting"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "0"], "--port must be between 1 and 65535. Got 0."),
        (["--rest_api_port", "-1"], "--rest_api_port must be between 0 and 65535. Got -1."),
        (
            ["--port", "18977", "--rest_api_port", "18977"],
            "--port and --rest_api_port must differ. Got 18977 for both.",
        ),
        (["--ssl_config_file", "nothing"], "--ssl_config_file must be a file. Got nothing."),
        (
            ["--model_config_file", "x"],
            "At most one of --workdir and --model_config_file must be given. Got both.",
        ),
        (
            ["--", "--port=9000"],
            "--port must be given before --, to tandem itself. Got it after.",
        ),
        (["--", "here"], "What follows -- must be flags, --flag=value. Got here."),
    ],
)
def test_mistake_is_one_sentence_for_the_person(
    arguments: Sequence[str], sentence: str, workdir: Path
) -> None:
    with pytest.raises(DataError) as error:
        run_command("serve", "--workdir", str(workdir), *arguments)

    assert str(error.value) == sentence


def test_port_that_is_taken_is_named(workdir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(DataError, match=rf"^Port {port} must be free\. Got: Address already in use;"):
            run_command("serve", "--workdir", str(workdir), "--port", str(port))


def test_serve_needs_a_pushed_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There must be a pushed model"):
        run_command("serve", "--workdir", str(tmp_path))
