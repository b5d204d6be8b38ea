"""The flags and files of the REST API."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer, StartError
from tests.serving.server.rest.asking import METRICS, error_of, free_port, own_server_only


@pytest.fixture
def start_rest(model_path: Path) -> Iterator[Callable[..., httpx.Client]]:
    """Starts a server with other settings."""
    servers, clients = [], []

    def start(**settings: Any) -> httpx.Client:
        settings = {"rest_api_port": free_port(), "port": 0, **settings}
        config = ServerConfig(
            model_base_path=model_path.parent, model_name="tandem", host="localhost", **settings
        )
        server = ModelServer(config)
        servers.append(server)
        server.start()
        clients.append(httpx.Client(base_url=f"http://localhost:{config.rest_api_port}", timeout=30))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for server in servers:
        server.stop()


def test_pages_of_other_origins_may_not_ask_by_default(http: httpx.Client) -> None:
    response = http.get("/v1/models/tandem", headers={"Origin": "https://shop.example"})
    assert "Access-Control-Allow-Origin" not in response.headers


@own_server_only
def test_settings_of_the_server_are_followed(start_rest: Callable[..., httpx.Client]) -> None:
    http = start_rest(rest_api_enable_cors_support=True, rest_api_timeout_in_ms=100)

    # Without a monitoring file there is no page.
    assert http.get(METRICS).status_code == 404

    # Pages of other origins may ask.
    cors = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, GET",
        "Access-Control-Allow-Headers": "Content-Type",
    }
    asked = http.options("/v1/models/tandem:predict", headers={"Origin": "https://shop.example"})
    assert asked.status_code == 200
    for response in (asked, http.get("/v1/models/tandem"), http.get("/v1/nothing")):
        assert {name: response.headers.get(name) for name in cors} == cors
    refused = http.options("/v1/models/tandem:predict")
    assert refused.status_code == 400
    assert error_of(refused) == "Origin header is missing in CORS preflight"

    # What takes too long is given up.
    slow = http.post("/v1/models/tandem:predict", json={"signature_name": "wait", "instances": [20]})
    assert slow.status_code == 504
    assert error_of(slow)


@own_server_only
def test_a_taken_port_ends_the_start(start_rest: Callable[..., httpx.Client]) -> None:
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"The address localhost:{port} must be free and is not"):
            start_rest(rest_api_port=port)


@own_server_only
def test_the_port_of_grpc_is_not_taken_for_rest(
    start_rest: Callable[..., httpx.Client], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    http = start_rest(port=port, rest_api_port=port)
    assert "--rest_api_port cannot be same as --port." in caplog.text
    with pytest.raises(httpx.HTTPError):
        http.get("/v1/models/tandem")
