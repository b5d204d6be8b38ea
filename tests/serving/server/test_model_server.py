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

import httpx
import numpy as np
import pytest

from serving.client import Client
from serving.client.errors import ServerUnavailableError, ServingError
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


def test_stop_answers_what_is_under_way_over_grpc_and_rest(model_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        rest_port = probe.getsockname()[1]
    server = ModelServer(
        ServerConfig(
            model_base_path=model_path.parent,
            model_name="tandem",
            host="localhost",
            port=0,
            rest_api_port=rest_port,
        )
    )
    server.start()
    url = f"http://localhost:{rest_port}/v1/models/tandem"
    answers: dict[str, object] = {}

    def ask_grpc() -> None:
        answers["gRPC"] = client.predict("wait", {"seconds": np.array([2.0])})["seconds"][0]

    def ask_rest() -> None:
        body = {"signature_name": "wait", "inputs": [2.0]}
        answers["REST"] = http.post(f"{url}:predict", json=body).json()["outputs"][0]

    with Client(f"localhost:{server.port}") as client, httpx.Client(timeout=20) as http:
        # Open connections, so that both requests are under way when the server is told to stop.
        client.status()
        http.get(url)
        asking = [threading.Thread(target=ask_grpc), threading.Thread(target=ask_rest)]
        for thread in asking:
            thread.start()
        time.sleep(1.0)

        stopping = threading.Thread(target=server.stop)
        stopping.start()

        time.sleep(0.3)
        late = Client(f"localhost:{server.port}", num_attempts=1)
        with late, pytest.raises(ServerUnavailableError):
            late.status()
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
        for thread in [*asking, stopping]:
            thread.join(20)
    assert answers == {"gRPC": 2.0, "REST": 2.0}


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


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--port=1"],
            "INVALID_ARGUMENT: Both server_options.model_base_path and server_options.model_config_file "
            "are empty!",
        ),
        (
            ["--port=0", "--model_base_path=/m"],
            "INVALID_ARGUMENT: At least one of server_options.grpc_port or server_options.grpc_socket_path "
            "must be set.",
        ),
        (
            ["--model_base_path=m"],
            "INVALID_ARGUMENT: Expected model default to have an absolute path or URI; got base_path()=m",
        ),
        (
            ["--model_base_path=gs://bucket/m"],
            "INVALID_ARGUMENT: The path of model default must be on a local file system, the only kind this "
            "server reads. Got base_path()=gs://bucket/m",
        ),
        (
            ["--model_config_file=/nothing"],
            "NOT_FOUND: /nothing; No such file or directory",
        ),
        (
            ["--model_base_path=/m", "--batching_parameters_file=/b"],
            "INVALID_ARGUMENT: server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true.",
        ),
        (
            [
                "--model_base_path=/m",
                "--tensorflow_session_parallelism=1",
                "--tensorflow_intra_op_parallelism=1",
                "--tensorflow_inter_op_parallelism=1",
            ],
            "INVALID_ARGUMENT: Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. You cannot configure all.",
        ),
        (
            ["--model_base_path=/m", "--grpc_channel_arguments=grpc.max_connection_age_ms"],
            "INVALID_ARGUMENT: grpc_channel_arguments must be key=value,key=value. "
            "Got grpc.max_connection_age_ms.",
        ),
    ],
)
def test_start_that_fails_is_told_on_standard_output(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 255

    assert capsys.readouterr().out == f"Failed to start server. Error: {error}\n"


def test_unknown_argument_is_printed_and_the_start_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model_base_paths=/m", "more"]) == 255

    printed = capsys.readouterr().out
    assert printed.startswith("unknown argument: --model_base_paths=/m\nusage: ")
    assert "model_config_file are empty!" in printed


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
