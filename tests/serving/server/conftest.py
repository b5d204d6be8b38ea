"""Stubs on the server under test, and clients of its REST API, for the tables of the protocol."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer
from tests.serving.server.rest.asking import PREDICT, Ask, free_port


@pytest.fixture(scope="session")
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture(scope="session")
def prediction(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def model(channel: grpc.Channel) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture(scope="session")
def rest_address(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address where the tiny model is served as version 1 of ``tandem``, with the page of metrics."""
    if "SERVER_REST_ADDRESS" in os.environ:
        yield os.environ["SERVER_REST_ADDRESS"]
        return
    monitoring = tmp_path_factory.mktemp("monitoring") / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    config = ServerConfig(
        model_base_path=model_path.parent,
        model_name="tandem",
        host="localhost",
        port=0,
        rest_api_port=free_port(),
        rest_api_num_threads=4,
        monitoring_config_file=monitoring,
    )
    server = ModelServer(config)
    server.start()
    yield f"localhost:{config.rest_api_port}"
    server.stop()


@pytest.fixture(scope="session")
def http(rest_address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{rest_address}", timeout=30) as client:
        yield client


@pytest.fixture
def predict(http: httpx.Client) -> Ask:
    def predict(body: Any, path: str = PREDICT, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return http.post(path, content=content, **options)

    return predict
