"""The gateway's description of itself, held against its answers to random requests by schemathesis."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

from serving.web.app import create_app
from serving.web.config import GatewayConfig
from serving.web.keys import add_key
from tests.serving.web.browser import served

OPEN_PATHS = {"/healthz", "/readyz"}
# Another day's run is the same run.
RANDOM_REQUESTS = settings(
    max_examples=6,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
# Every request has the key of its gateway.
CONFIG = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})


class Gateway(NamedTuple):
    """A gateway on a port of this machine, and the header that lets a request in."""

    url: str
    headers: dict[str, str]


@pytest.fixture(scope="module", params=["keys", "no keys"])
def gateway(
    request: pytest.FixtureRequest,
    server_address: str,
    model_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    keys, headers = None, {}
    if request.param == "keys":
        keys = tmp_path_factory.mktemp("keys") / "keys.jsonl"
        headers = {"Authorization": f"Bearer {add_key(keys, 'shop')}"}
    config = GatewayConfig(server=server_address, model_dir=model_dir, keys=keys, rate="100000/second")
    with served(create_app(config, log=io.StringIO())) as url:
        yield Gateway(url=url, headers=headers)


def test_description_asks_for_a_key_where_a_request_needs_one(gateway: Gateway) -> None:
    paths = requests.get(f"{gateway.url}/openapi.json", timeout=10).json()["paths"]

    for path, methods in paths.items():
        for method, operation in methods.items():
            needs_key = (
                requests.request(method, f"{gateway.url}{path}", json={}, timeout=10).status_code == 401
            )
            assert needs_key == (bool(gateway.headers) and path not in OPEN_PATHS)
            assert ("security" in operation) == needs_key
            assert ("401" in operation["responses"]) == needs_key


@pytest.mark.slow
def test_answers_to_random_requests_are_as_described(gateway: Gateway) -> None:
    description: Any = schemathesis.openapi.from_url(f"{gateway.url}/openapi.json", config=CONFIG)
    operations = [found.ok() for found in description.get_all_operations()]

    for operation in operations:
        _ask(operation, GenerationMode.POSITIVE, gateway)
        # A request without a body cannot be of the wrong form.
        if operation.method == "post":
            _ask(operation, GenerationMode.NEGATIVE, gateway)
    assert len(operations) == 11


def _ask(operation: Any, mode: GenerationMode, gateway: Gateway) -> None:
    @RANDOM_REQUESTS
    @given(case=operation.as_strategy(generation_mode=mode))
    def is_as_described(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            _align(case.body)
        # No error of the server, the right answer to a request of the wrong form, the described status, type
        # and schema, and nothing without a key that is described to need one.
        case.call_and_validate(headers=gateway.headers)

    is_as_described()


def _align(body: Any) -> None:
    """Takes times away that are not one for each item of the history, which a schema cannot say."""
    if isinstance(body, dict) and len(body.get("history_times", [])) != len(body.get("history", [])):
        body.pop("history_times", None)
