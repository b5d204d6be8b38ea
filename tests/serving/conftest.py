"""A tiny model on disk and an embedded server on it, shared by the tests of ``serving``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.client import Client
from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer
from tests.serving import tiny_model

Publish = Callable[..., None]


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One version's directory; not to be changed."""
    path = tmp_path_factory.mktemp("model") / "1"
    tiny_model.write(path)
    return path


@pytest.fixture(scope="session")
def address(model_path: Path) -> Iterator[str]:
    """Where the tiny model is served as version 1 of ``tandem``: ``SERVER_ADDRESS``, else our own server."""
    if "SERVER_ADDRESS" in os.environ:
        yield os.environ["SERVER_ADDRESS"]
        return
    server = ModelServer(
        ServerConfig(model_base_path=model_path.parent, model_name="tandem", host="localhost", port=0)
    )
    server.start()
    yield f"localhost:{server.port}"
    server.stop()


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    path = tmp_path / "tandem"
    path.mkdir()
    return path


@pytest.fixture
def publish(model_path: Path, base_path: Path) -> Publish:
    """Puts a version under ``base_path``, whole and at once; ``broken`` ones cannot be loaded."""

    def publish(version: int, *, broken: bool = False) -> None:
        hidden = base_path / f".tmp-{version}"
        shutil.copytree(model_path, hidden)
        if broken:
            (hidden / "saved_model.pb").write_bytes(b"not a graph")
        hidden.rename(base_path / str(version))

    return publish


@pytest.fixture
def start_server(base_path: Path) -> Iterator[Callable[[], ModelServer]]:
    """Starts a server on ``base_path`` that looks for versions often and does not try again."""
    servers = []

    def start() -> ModelServer:
        server = ModelServer(
            ServerConfig(
                model_base_path=base_path,
                model_name="tandem",
                host="localhost",
                port=0,
                file_system_poll_wait_seconds=0.05,
                max_num_load_retries=0,
            )
        )
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()
