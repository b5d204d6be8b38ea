from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serving.server.rest.server import RestServer
from serving.server.status_error import StatusError


class _SlowApp:
    """Answers once it is let, and says that it was asked."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.let = threading.Event()
        self.starlette = Starlette(routes=[Route("/", self._answer)])

    def _answer(self, request: Request) -> PlainTextResponse:
        self.asked.set()
        assert self.let.wait(10)
        return PlainTextResponse("done")


@pytest.fixture
def app() -> _SlowApp:
    return _SlowApp()


@pytest.fixture
def server(app: _SlowApp) -> Iterator[RestServer]:
    server = RestServer(app.starlette, host="0.0.0.0", port=0, drain_timeout_s=10)
    server.start()
    yield server
    app.let.set()
    server.stop()


def test_all_interfaces_are_listened_on(app: _SlowApp, server: RestServer) -> None:
    app.let.set()
    assert httpx.get(f"http://127.0.0.1:{server.port}/").text == "done"
    if socket.has_dualstack_ipv6():
        assert httpx.get(f"http://[::1]:{server.port}/").text == "done"


def test_a_taken_port_is_told(server: RestServer) -> None:
    second = RestServer(Starlette(), host="0.0.0.0", port=server.port, drain_timeout_s=1)
    with pytest.raises(StatusError, match=f"The address 0.0.0.0:{server.port} must be free and is not"):
        second.start()
    second.stop()


def test_stopping_answers_what_is_under_way_and_takes_no_more(app: _SlowApp, server: RestServer) -> None:
    answers = []
    url = f"http://127.0.0.1:{server.port}/"
    asking = threading.Thread(target=lambda: answers.append(httpx.get(url, timeout=20).text))
    asking.start()
    assert app.asked.wait(10)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    # The port closes first, and only then what is under way is waited for.
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
        except ConnectionError:
            break
    assert stopping.is_alive()
    app.let.set()
    stopping.join()
    asking.join()
    assert answers == ["done"]


def test_answers_do_not_wait_for_the_acknowledgement_of_their_headers(server: RestServer) -> None:
    (listening,) = server._server.servers
    (listener,) = listening.sockets
    assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
