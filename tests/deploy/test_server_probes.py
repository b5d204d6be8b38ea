"""The settings of ``deploy/`` at work: the embedded server run with them, and asked as Kubernetes asks."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.client import Client
from serving.server.flags import parse_flags
from serving.server.model_server import ModelServer
from tests.deploy.files import DEPLOY, SERVER, container_of, instructions
from tests.serving import tiny_model

CONTAINER = container_of("tandem-server")
# It loads TensorFlow, a model and a server.
pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """A server with the settings of ``deploy/``.

    Attributes:
        models: The directory of the model's versions.
        grpc_port: As told.
        rest_port: As told.
    """

    models: Path
    grpc_port: int
    rest_port: int

    def get(self, path: str) -> tuple[int, str]:
        """The status and the body of a path of the REST port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def health(self, service: str) -> int:
        """What the health service says, as a number."""
        with grpc.insecure_channel(f"localhost:{self.grpc_port}") as channel:
            request = health_pb2.HealthCheckRequest(service=service)
            return int(health_pb2_grpc.HealthStub(channel).Check(request).status)

    def health_check(self) -> int:
        """The exit code of the image's HEALTHCHECK."""
        [check] = [rest for name, rest in instructions(SERVER / "Dockerfile") if name == "HEALTHCHECK"]
        command = json.loads(check.partition("CMD ")[2])
        command[-1] = command[-1].replace("/8501 ", f"/{self.rest_port} ")
        return subprocess.run(command, capture_output=True, check=False).returncode


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("deployed")
    models = folder / "tandem"
    tiny_model.write(models / "1")
    settings = folder / "etc"
    shutil.copytree(SERVER, settings)
    models_config = settings / "models.config"
    models_config.write_text(models_config.read_text().replace("/models/tandem", str(models)))
    ports = {"--port=8500": free_port(), "--rest_api_port=8501": free_port()}
    arguments = [
        f"{argument.partition('=')[0]}={ports[argument]}" if argument in ports else argument
        for argument in CONTAINER["args"]
    ]
    command_line = parse_flags([argument.replace("/etc/tandem", str(settings)) for argument in arguments])
    server = ModelServer(dataclasses.replace(command_line.config, host="localhost"))
    server.start()
    grpc_port, rest_port = ports.values()
    yield Running(models=models, grpc_port=grpc_port, rest_port=rest_port)
    server.stop()


def test_every_probe_finds_the_server_well(running: Running) -> None:
    service = CONTAINER["startupProbe"]["grpc"]["service"]

    assert running.health(service) == health_pb2.HealthCheckResponse.SERVING
    assert running.get(CONTAINER["readinessProbe"]["httpGet"]["path"])[0] == 200
    assert running.health_check() == 0


def test_server_answers_the_client(running: Running) -> None:
    with Client(f"localhost:{running.grpc_port}") as client:
        [results] = client.search(["red"], histories=[["1", "2"]], k=2)

    assert results


def test_what_alerts_ask_for_is_on_the_page(running: Running) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    [job] = config["scrape_configs"]

    status, page = running.get(job["metrics_path"])

    assert status == 200
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    for name in set(re.findall(r":tensorflow:[a-z_:]+", alerts)):
        assert name.removesuffix("_bucket").removesuffix("_count") in page
    assert ':tensorflow:cc:saved_model:load_attempt_count{model_path="' in page
    assert 'status="OK"' in page


def test_server_without_a_version_is_alive_and_not_ready(running: Running) -> None:
    path = CONTAINER["readinessProbe"]["httpGet"]["path"]
    hidden = running.models / "not-a-version"

    (running.models / "1").rename(hidden)
    deadline = time.monotonic() + 30
    while running.get(path)[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.1)

    assert running.get(path)[0] == 404
    assert running.health_check() != 0
    service = CONTAINER["livenessProbe"]["grpc"]["service"]
    assert running.health(service) == health_pb2.HealthCheckResponse.SERVING
