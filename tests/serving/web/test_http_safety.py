from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.web import http_safety
from serving.web.app import STATIC
from serving.web.http_safety import MAX_BODY_BYTES, BoundedBody
from serving.web.model_files import ModelFiles
from tests.serving.web.conftest import OpenGateway


def _large(*, size: int) -> bytes:
    return b'{"query": "' + b"a" * (size - 13) + b'"}'


def test_body_larger_than_the_limit_is_refused(gateway: TestClient) -> None:
    headers = {"Content-Type": "application/json"}

    def in_pieces() -> Iterator[bytes]:
        yield from [b" " * 1024] * (MAX_BODY_BYTES // 1024 + 1)

    for content in (_large(size=MAX_BODY_BYTES + 1), in_pieces()):
        answer = gateway.post("/api/search", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json() == {"error": f"The body must be of at most {MAX_BODY_BYTES} bytes. Got more."}
    # Of the limit itself only the query is too long.
    assert (
        gateway.post("/api/search", content=_large(size=MAX_BODY_BYTES), headers=headers).status_code == 422
    )


def test_length_that_lies_or_overflows_is_refused(gateway: TestClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "9" * 5000}

    assert gateway.post("/api/search", content=b"{}", headers=headers).status_code == 413


def test_body_that_does_not_arrive_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_safety, "_BODY_TIMEOUT_S", 0.01)
    sent: list[Any] = []

    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(BoundedBody(never)({"type": "http", "headers": []}, never, send))

    assert sent[0]["status"] == 408


def test_every_answer_has_the_headers_that_bind_a_browser(
    gateway: TestClient, open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(files: ModelFiles) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(ModelFiles, "examples", fail)
    answers = [
        gateway.get("/"),
        gateway.get("/static/page.js"),
        gateway.post("/api/search", json={"query": "a"}),
        gateway.get("/nothing"),
        gateway.post("/api/search", content=b"a" * (MAX_BODY_BYTES + 1)),
        gateway.get("/", headers={"Host": "shop.example"}),
        gateway.get("/api/examples"),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 413, 421, 500]
    assert answers[-1].json() == {
        "error": "The gateway failed by a fault of its own; its log has the reason."
    }
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] in ("no-cache", "no-store")
    assert answers[2].headers["Cache-Control"] == "no-store"


def test_page_asks_no_other_host_and_has_nothing_inline() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", text))
        # The name of SVG's language, which is fetched by nobody.
        assert addresses <= {"http://www.w3.org/2000/svg"}, path
        assert "innerHTML" not in text
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
