"""What both clients do about a server that fails, and how they connect."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from serving.client import Client, errors
from serving.client.async_client import AsyncClient
from serving.client.results import VersionStatus
from tests.serving.stub_server import StubServer

Ask = Callable[..., list[VersionStatus]]


def _ask(address: str, **settings: Any) -> list[VersionStatus]:
    with Client(address, **settings) as client:
        return client.status()


def _ask_async(address: str, **settings: Any) -> list[VersionStatus]:
    async def ask() -> list[VersionStatus]:
        async with AsyncClient(address, **settings) as client:
            return await client.status()

    return asyncio.run(ask())


@pytest.fixture(params=[_ask, _ask_async], ids=["client", "async client"])
def ask(request: pytest.FixtureRequest) -> Ask:
    asker: Ask = request.param
    return asker


def test_unavailable_server_is_asked_again(ask: Ask) -> None:
    with StubServer(num_failures=2) as server:
        (version,) = ask(server.address)

    assert version.state == "AVAILABLE"
    assert len(server.peers) == 3


def test_server_that_stays_unavailable_is_quoted_after_the_last_attempt(ask: Ask) -> None:
    with StubServer(num_failures=9) as server, pytest.raises(errors.ServerUnavailableError) as error:
        ask(server.address, num_attempts=2)

    assert len(server.peers) == 2
    assert str(error.value) == (
        f"The server at {server.address} is unavailable: The batch scheduling queue is full"
    )


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.ServerTimeoutError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ServerOverloadedError),
        (grpc.StatusCode.CANCELLED, errors.CallCancelledError),
        (grpc.StatusCode.NOT_FOUND, errors.ModelNotFoundError),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.FailedPreconditionError),
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidRequestError),
        (grpc.StatusCode.OUT_OF_RANGE, errors.InvalidRequestError),
        (grpc.StatusCode.UNAUTHENTICATED, errors.AccessDeniedError),
        (grpc.StatusCode.PERMISSION_DENIED, errors.AccessDeniedError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.NotSupportedError),
        (grpc.StatusCode.INTERNAL, errors.ServerFailedError),
        (grpc.StatusCode.UNKNOWN, errors.ServerFailedError),
        (grpc.StatusCode.DATA_LOSS, errors.ServerFailedError),
        (grpc.StatusCode.ABORTED, errors.ServerFailedError),
        (grpc.StatusCode.ALREADY_EXISTS, errors.ServerFailedError),
    ],
    ids=lambda value: value.name if isinstance(value, grpc.StatusCode) else "",
)
def test_any_other_failure_is_final_and_has_a_class(
    ask: Ask, code: grpc.StatusCode, error_class: type[errors.ServingError]
) -> None:
    with StubServer(num_failures=9, code=code, details="why") as server, pytest.raises(error_class) as error:
        ask(server.address)

    assert len(server.peers) == 1
    assert error.value.code == code.name
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED or str(error.value) == "why"


def test_every_grpc_code_is_in_the_tree() -> None:
    failures = {code.name for code in grpc.StatusCode} - {"OK"}

    assert errors.__doc__ is not None
    assert failures <= set(re.findall(r"[A-Z_]+", errors.__doc__))


def test_pauses_grow_and_are_random_from_zero(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = []

    def lowest(*ends: float) -> float:
        ranges.append(ends)
        return ends[0]

    monkeypatch.setattr(random, "uniform", lowest)

    with StubServer(num_failures=7) as server:
        ask(server.address, num_attempts=8)

    assert ranges == [(0.0, end) for end in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)]


def test_no_attempt_is_made_past_the_deadline(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda *ends: 60.0)

    with StubServer(num_failures=9) as server, pytest.raises(errors.ServerUnavailableError):
        ask(server.address, timeout_s=30.0)

    assert len(server.peers) == 1


def test_threads_share_one_connection() -> None:
    with StubServer() as server, Client(server.address) as client:
        threads = [threading.Thread(target=client.status) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(server.peers) == 8
    assert len(set(server.peers)) == 1


def test_server_that_was_restarted_is_found_again() -> None:
    with StubServer() as server, Client(server.address) as client:
        client.status()
        server.__exit__()
        with pytest.raises(errors.ServerUnavailableError):
            client.status()

        with StubServer(port=server.port) as restarted:
            client.wait_until_ready(20)

    assert restarted.peers


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"timeout_s": 0}, "timeout_s must be a number of seconds above 0. Got 0."),
        ({"timeout_s": float("inf")}, "timeout_s must be a number of seconds above 0. Got inf."),
        ({"num_attempts": 0}, "num_attempts must be at least 1. Got 0."),
        (
            {"version": 2, "version_label": "stable"},
            "At most one of version and version_label must be given. Got 2 and 'stable'.",
        ),
    ],
)
@pytest.mark.parametrize("client_class", [Client, AsyncClient])
def test_wrong_setting_is_named(client_class: Any, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (whole below)
        client_class("localhost:1", **settings)

    assert str(error.value) == sentence


def test_host_that_is_not_known_is_named(ask: Ask) -> None:
    with pytest.raises(errors.ServerUnavailableError, match=r"^No server answers at nowhere\.invalid:80: "):
        ask("nowhere.invalid:80", num_attempts=1)
