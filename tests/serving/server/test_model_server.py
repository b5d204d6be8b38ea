"""The server as a process: when its port opens, how it stops, and why it does not start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serving.client import Client
from serving.errors import ServerUnavailableError, ServingError
from serving.process import ServerProcess
from serving.server.__main__ import main
from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer, StartError
from tests.serving.conftest import Publish


@pytest.mark.slow
def test_sigterm_answers_what_is_under_way_and_ends_with_zero(base_path: Path, publish: Publish) -> None:
    publish(1)
    answers: list[object] = []
    with ServerProcess(base_path) as server, Client(server.address) as client:
        assert len(client.search(["hello"], k=2)[0]) == 2
        slow = threading.Thread(
            target=lambda: answers.append(client.predict("wait", {"seconds": np.array([1.5])}))
        )
        slow.start()
        time.sleep(0.3)

        os.kill(server.pid, signal.SIGTERM)

        time.sleep(0.3)
        with Client(server.address) as late, pytest.raises(ServerUnavailableError):
            late.search(["hello"])
        slow.join()
        assert len(answers) == 1
        assert server.wait(timeout_s=10) == 0
        assert f"Running gRPC ModelServer at 0.0.0.0:{server.address.rpartition(':')[2]} ..." in server.log()


@pytest.mark.slow
def test_broken_model_ends_the_process_with_its_reason(base_path: Path, publish: Publish) -> None:
    publish(3, broken=True)

    with (
        pytest.raises(ServingError, match=r"exit code 255.*name: tandem version: 3"),
        ServerProcess(base_path),
    ):
        pass


def test_port_opens_only_once_a_version_is_there(
    base_path: Path, publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    servers: list[ModelServer] = []
    starting = threading.Thread(target=lambda: servers.append(start_server()))
    starting.start()
    starting.join(0.3)
    assert servers == []

    publish(1)

    starting.join(20)
    with Client(f"localhost:{servers[0].port}") as client:
        assert client.status()[0].state == "AVAILABLE"


def test_port_that_is_taken_is_named(model_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = ModelServer(
            ServerConfig(model_base_path=model_path.parent, model_name="tandem", host="127.0.0.1", port=port)
        )
        with pytest.raises(StartError, match=rf"The address 127.0.0.1:{port} must be free and is not"):
            server.start()
        server.stop()


def test_flag_that_is_not_supported_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--model_base_path=/models", "--enable_batching"])

    assert code == 255
    assert "Got --enable_batching." in capsys.readouterr().err


def test_help_names_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "--model_base_path" in capsys.readouterr().out


@pytest.mark.slow
def test_sigterm_while_waiting_for_a_version_ends_the_process(base_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.server", f"--model_base_path={base_path}", "--port=18099"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "No versions of servable" not in process.stderr.readline():
        pass

    process.terminate()

    process.communicate(timeout=20)
    assert process.returncode == 0
