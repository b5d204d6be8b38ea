"""The client for asyncio, with the same methods as `Client`."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc
import grpc.aio

from serving.client import calls
from serving.client.connection import NOT_READY, POLL_S, Connection
from serving.client.methods import METHODS, Call, Method, Model

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


def _asking(
    build: Callable[Concatenate[Model, _Arguments], Call[_Answer]],
) -> Callable[Concatenate[AsyncClient, _Arguments], Coroutine[Any, Any, _Answer]]:
    """A coroutine method with the arguments and the docstring of ``build``."""

    async def method(self: AsyncClient, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answer:
        return await self.ask(build(self.model, *args, **kwargs))

    calls.describe(method, build)
    return method


class AsyncClient(Connection):
    """A connection to one model on one server; the tasks of one event loop may share it.

    The methods are those of `Client`, and they are awaited. A task that is cancelled cancels its call. The
    connection belongs to the event loop of the first call.

    Example:
        A batch without rows is answered without a server.

        >>> async def ask():
        ...     async with AsyncClient("localhost:8500") as client:
        ...         return await asyncio.gather(client.search([]), client.similar([]))
        >>> asyncio.run(ask())
        [[], []]
    """

    search = _asking(calls.search)
    suggest = _asking(calls.suggest)
    facets = _asking(calls.facets)
    recommend = _asking(calls.recommend)
    similar = _asking(calls.similar)
    complement = _asking(calls.complement)
    rank = _asking(calls.rank)
    embed_query = _asking(calls.embed_query)
    embed_item = _asking(calls.embed_item)
    predict = _asking(calls.predict)
    status = _asking(calls.status)
    metadata = _asking(calls.metadata)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection."""
        if self._channel is not None:
            await self._channel.close()

    async def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Waits until the server answers and has a version of the model that it can ask.

        Raises:
            ServerTimeoutError: If there is none after ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if self._is_available(await self.status(timeout_s=self._poll_timeout_s(deadline))):
                    return
            except NOT_READY:
                pass
            if time.monotonic() >= deadline:
                raise self._not_ready(timeout_s)
            await asyncio.sleep(POLL_S)

    def _open(self) -> None:
        # A channel needs the running event loop, and a client may be made before there is one.
        self._channel: Any = None
        self._methods: dict[Method, Callable[..., Any]] = {}

    def _connect(self) -> None:
        self._channel = (
            grpc.aio.insecure_channel(self.address, options=self._channel_options())
            if self.tls is None
            else grpc.aio.secure_channel(
                self.address, self.tls.credentials(), options=self._channel_options()
            )
        )
        self._methods = {
            method: self._channel.unary_unary(method.path, method.serialize, method.parse)
            for method in METHODS
        }

    async def ask(self, call: Call[_Answer]) -> _Answer:
        """Makes one call of ``serving.client.calls``; every other method uses this one."""
        if call.request is None:
            return call.read(None)
        if self._channel is None:
            self._connect()
        timeout_s = self._timeout_s(call.timeout_s)
        deadline = time.monotonic() + timeout_s
        for attempt in itertools.count(1):
            remaining_s = deadline - time.monotonic()
            try:
                return call.read(await self._methods[call.method](call.request, timeout=remaining_s))
            except grpc.aio.AioRpcError as error:
                pause_s = self._pause_s(error, attempt=attempt, remaining_s=deadline - time.monotonic())
                if pause_s is None:
                    raise self._error(error, timeout_s) from error
            await asyncio.sleep(pause_s)
        raise AssertionError("the loop ends with an answer or an error")
