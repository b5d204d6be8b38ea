from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from serving.web.keys import add_key
from serving.web.request_log import Pseudonyms
from tests.serving.web.conftest import OpenGateway

KEY = b"a secret of sixteen bytes or more"


def _lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_line_says_what_happened_but_not_to_whom(
    open_gateway: OpenGateway, server_address: str, log: io.StringIO, tmp_path: Path
) -> None:
    key = add_key(tmp_path / "keys", "shop")
    gateway = open_gateway(server=server_address, keys=tmp_path / "keys", address="192.0.2.77")
    body = {
        "query": "secret wish",
        "user_id": "customer-4711",
        "history": ["fork"],
        "exclude": ["dish"],
        "k": 3,
    }

    gateway.post("/api/search", json=body, headers={"Authorization": f"Bearer {key}"})

    (line,) = _lines(log)
    assert line["path"] == "/api/search"
    assert (line["method"], line["status"], line["key"]) == ("POST", 200, "shop")
    assert (line["query_length"], line["num_history"], line["num_exclude"], line["k"]) == (11, 1, 1, 3)
    assert (line["num_results"], line["model_version"]) == (3, 1)
    assert line["took_ms"] >= line["model_ms"] > 0
    assert len(line["user"]) == len(line["address"]) == 16
    for private in ("4711", "secret", "wish", "fork", "dish", "192.0.2.77", key):
        assert private not in log.getvalue()


def test_one_person_has_one_pseudonym_however_the_id_is_written(
    open_gateway: OpenGateway, server_address: str, log: io.StringIO
) -> None:
    gateway = open_gateway(server=server_address)

    for user in ("12352", " 12352 ", "12352.0"):
        gateway.post("/api/recommend", json={"user_id": user})

    assert len({line["user"] for line in _lines(log)}) == 1


def test_one_person_has_one_pseudonym_as_long_as_the_key_is_the_same(
    open_gateway: OpenGateway, server_address: str, log: io.StringIO
) -> None:
    same = Pseudonyms(key=KEY)
    for settings in ({"pseudonyms": same}, {"pseudonyms": same}, {}):
        gateway = open_gateway(server=server_address, **settings)
        for user in ("ann", "bob", ""):
            gateway.post("/api/recommend", json={"user_id": user})

    ann, bob, nobody, *later = [line["user"] for line in _lines(log)]
    assert (nobody, ann == bob) == ("", False)
    assert later[:3] == [ann, bob, nobody]
    # A key of its own each process.
    assert {later[3], later[4]}.isdisjoint({ann, bob})
    assert KEY.decode() not in repr(same)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/api/search", 422), ("GET", "/", 200)]
)
def test_every_request_has_a_line(
    open_gateway: OpenGateway, server_address: str, log: io.StringIO, method: str, path: str, status: int
) -> None:
    open_gateway(server=server_address).request(method, path)

    (line,) = _lines(log)
    assert (line["path"], line["status"]) == (path, status)


def test_line_of_a_path_with_anything_in_it_is_one_short_line(
    open_gateway: OpenGateway, server_address: str, log: io.StringIO
) -> None:
    open_gateway(server=server_address).get("/a%0Ab%22" + "c" * 500)

    (line,) = _lines(log)
    assert line["path"].startswith('/a\nb"c')
    assert len(line["path"]) == 100
