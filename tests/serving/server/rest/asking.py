"""Paths, ports and answers that the tests of the REST API share."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Ask = Callable[..., httpx.Response]

METRICS = "/monitoring/prometheus/metrics"
PREDICT = "/v1/models/tandem:predict"
own_server_only = pytest.mark.skipif(
    "SERVER_REST_ADDRESS" in os.environ, reason="holds of our own server or its settings only"
)


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def error_of(response: httpx.Response) -> str:
    assert response.headers["Content-Type"] == "application/json"
    document = response.json()
    assert document.keys() == {"error"}
    error: str = document["error"]
    return error


def query(text: Any) -> dict[str, Any]:
    return {"query": text, "user_id": "", "history": [], "history_times": [], "now": 0}
