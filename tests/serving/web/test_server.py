from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.serving.stub_server import StubServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


class Gateway:
    """``tandem web`` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "web", "--port", "0", *arguments],
            cwd=ROOT,
            env={**os.environ, "TANDEM_LOG_KEY": "a secret of sixteen bytes or more"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr
        self.said = self.process.stderr.readline()
        found = re.search(r"https?://\S+:\d+", self.said)
        assert found, self.said + self.process.stderr.read()
        self.url = found.group()

    def stop(self) -> tuple[int, str, str]:
        """Tells it to stop; gives its exit code and what it wrote."""
        self.process.send_signal(signal.SIGTERM)
        # `communicate` would miss what `readline` has read ahead.
        output, errors = (pipe.read() for pipe in (self.process.stdout, self.process.stderr) if pipe)
        return self.process.wait(60), output, errors


@pytest.fixture
def start() -> Iterator[Callable[..., Gateway]]:
    started: list[Gateway] = []

    def start(*arguments: str) -> Gateway:
        started.append(Gateway(*arguments))
        return started[-1]

    yield start
    for gateway in started:
        gateway.process.kill()
        with gateway.process:
            pass


def test_request_under_way_is_answered_before_the_gateway_ends(start: Callable[..., Gateway]) -> None:
    # The model server holds its answer back until the test is there too.
    meeting = threading.Barrier(2)
    answers: list[httpx.Response] = []
    with StubServer(meeting=meeting) as server:
        gateway = start("--server", server.address)
        asking = threading.Thread(
            target=lambda: answers.append(httpx.get(f"{gateway.url}/api/status", timeout=60))
        )
        asking.start()
        while not server.peers:
            assert asking.is_alive()
            time.sleep(0.01)
        gateway.process.send_signal(signal.SIGTERM)
        meeting.wait(60)
        asking.join(60)

    code, output, errors = gateway.stop()
    assert (code, errors) == (0, "")
    assert [answer.status_code for answer in answers] == [200]
    (line,) = map(json.loads, output.splitlines())
    assert line["status"] == 200


def _status(gateway: Gateway, forwarded: str) -> int:
    headers = {"X-Forwarded-For": forwarded}
    return httpx.get(f"{gateway.url}/api/nothing", headers=headers).status_code


def test_nobodys_word_on_the_address_is_taken_but_a_trusted_proxys(start: Callable[..., Gateway]) -> None:
    untrusting = start("--rate", "1/hour")
    trusting = start("--rate", "1/hour", "--trusted-proxy", "127.0.0.0/8")

    assert [_status(untrusting, f"192.0.2.{number}") for number in (1, 2)] == [404, 429]
    assert [_status(trusting, f"192.0.2.{number}") for number in (1, 2, 2)] == [404, 404, 429]


def test_gateway_speaks_tls_and_says_what_travels_in_the_clear(
    start: Callable[..., Gateway], tmp_path: Path
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)

    encrypted: Any = start(
        *("--tls-certificate", str(tmp_path / "certificate.pem"), "--tls-key", str(tmp_path / "key.pem"))
    )
    clear = start("--host", "0.0.0.0", "--allow-anonymous")

    assert encrypted.url.startswith("https://127.0.0.1:")
    assert httpx.get(f"{encrypted.url}/healthz", verify=context).json() == {"status": "ok"}
    assert "travel in the clear" in clear.stop()[2]
    assert "travel in the clear" not in encrypted.stop()[2]
