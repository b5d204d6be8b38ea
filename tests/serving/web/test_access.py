from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serving.web.keys import add_key, remove_key
from tests.serving.web.conftest import OpenGateway


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_known_key_comes_in(open_gateway: OpenGateway, server_address: str, keys: Path) -> None:
    key = add_key(keys, "shop")
    gateway = open_gateway(server=server_address, keys=keys)

    assert gateway.get("/api/status", headers=bearer(key)).status_code == 200
    assert gateway.get("/api/status", headers={"Authorization": f"bearer  {key}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer("tandem_wrong"),
        bearer("\u00e9"),
        {"Authorization": "Basic KEY"},
        {"Authorization": "KEY"},
        {"X-API-Key": "KEY"},
    ],
)
def test_without_a_known_key_nothing_is_answered(
    open_gateway: OpenGateway, server_address: str, keys: Path, headers: dict[str, str]
) -> None:
    key = add_key(keys, "shop")
    gateway = open_gateway(server=server_address, keys=keys)
    sent = {name.encode(): value.replace("KEY", key).encode() for name, value in headers.items()}

    for method, path in (("GET", "/api/status"), ("POST", "/api/search"), ("GET", "/api/new"), ("GET", "/x")):
        answer = gateway.request(method, path, headers=sent)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert list(answer.json()) == ["error"]


def test_page_and_probes_need_no_key(open_gateway: OpenGateway, server_address: str, keys: Path) -> None:
    add_key(keys, "shop")
    gateway = open_gateway(server=server_address, keys=keys)

    for path in ("/", "/static/page.js", "/healthz", "/readyz", "/openapi.json"):
        assert gateway.get(path).status_code == 200


def test_static_files_are_those_of_the_page_only(open_gateway: OpenGateway, server_address: str) -> None:
    gateway = open_gateway(server=server_address)

    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"):
        assert gateway.get(path).status_code == 404


def test_key_counts_from_when_it_is_added_until_it_is_removed(
    open_gateway: OpenGateway, server_address: str, keys: Path
) -> None:
    add_key(keys, "shop")
    gateway = open_gateway(server=server_address, keys=keys)

    key = add_key(keys, "new")
    assert gateway.get("/api/status", headers=bearer(key)).status_code == 200
    remove_key(keys, "new")
    assert gateway.get("/api/status", headers=bearer(key)).status_code == 401


def test_more_requests_than_the_rate_are_told_when_to_come_back(
    open_gateway: OpenGateway, server_address: str
) -> None:
    gateway = open_gateway(server=server_address, rate="2/minute")

    statuses = [gateway.get("/api/status").status_code for _ in range(2)]
    refused = gateway.get("/api/status")

    assert statuses == [200, 200]
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 120
    assert refused.json()["error"].startswith("At most 2 per 1 minute")
    # Who loads the page or probes is not counted.
    assert gateway.get("/").status_code == gateway.get("/readyz").status_code == 200


def test_each_key_has_a_rate_of_its_own(open_gateway: OpenGateway, server_address: str, keys: Path) -> None:
    first, second = add_key(keys, "first"), add_key(keys, "second")
    gateway = open_gateway(server=server_address, keys=keys, rate="1/minute")

    statuses = [gateway.get("/api/status", headers=bearer(key)).status_code for key in (first, first, second)]

    assert statuses == [200, 429, 200]


def test_guessing_keys_is_limited_too(open_gateway: OpenGateway, server_address: str, keys: Path) -> None:
    key = add_key(keys, "shop")
    gateway = open_gateway(server=server_address, keys=keys, rate="2/minute")

    statuses = [
        gateway.get("/api/status", headers=bearer(f"tandem_{number}")).status_code for number in range(3)
    ]

    assert statuses == [401, 401, 429]
    assert gateway.get("/api/status", headers=bearer(key)).status_code == 200


def _statuses(gateway: Any, *addresses: str) -> list[int]:
    statuses = []
    for address in addresses:
        gateway._transport.client = (address, 1)
        statuses.append(gateway.get("/api/status").status_code)
    return statuses


def test_addresses_count_apart_but_one_household_of_ipv6_together(
    open_gateway: OpenGateway, server_address: str
) -> None:
    gateway = open_gateway(server=server_address, rate="1/minute")

    assert _statuses(gateway, "192.0.2.1", "192.0.2.2", "192.0.2.1") == [200, 200, 429]
    assert _statuses(gateway, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1") == [200, 429, 200]


@pytest.mark.parametrize("host", ["shop.example", "127.0.0.1.example", "192.168.1.7:8080", ""])
def test_without_keys_a_local_gateway_answers_under_local_names_only(
    open_gateway: OpenGateway, server_address: str, keys: Path, host: str
) -> None:
    gateway = open_gateway(server=server_address)
    for path in ("/", "/api/status"):
        assert gateway.get(path, headers={"Host": host}).status_code == 421

    add_key(keys, "shop")
    with_keys = open_gateway(server=server_address, keys=keys)
    assert with_keys.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST"])
def test_local_names_are_answered(open_gateway: OpenGateway, server_address: str, host: str) -> None:
    assert open_gateway(server=server_address).get("/", headers={"Host": host}).status_code == 200


def test_anonymous_gateway_for_others_has_a_rate(open_gateway: OpenGateway, server_address: str) -> None:
    gateway = open_gateway(server=server_address, host="0.0.0.0", allow_anonymous=True)

    statuses = [404]
    # What it allows grows back while the requests run: how many it takes depends on how fast they are.
    while statuses[-1] == 404 and len(statuses) < 5000:
        statuses.append(gateway.get("/api/nothing", headers={"Host": "shop.example"}).status_code)

    assert statuses[-1] == 429
    assert len(statuses) > 601
