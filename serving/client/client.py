"""The client, which asks a TF Serving server for searches and recommendations, without TensorFlow."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from serving.client import calls
from serving.client.connection import NOT_READY, POLL_S, Connection
from serving.client.methods import METHODS, Call, Method, Model
from serving.client.results import Result, Results

__all__ = ["Client", "Result", "Results"]

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


def _asking(
    build: Callable[Concatenate[Model, _Arguments], Call[_Answer]],
) -> Callable[Concatenate[Client, _Arguments], _Answer]:
    """A method with the arguments and the docstring of ``build``."""

    def method(self: Client, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answer:
        return self.ask(build(self.model, *args, **kwargs))

    calls.describe(method, build)
    return method


class Client(Connection):
    """A connection to one model on one server; threads may share it.

    Every method makes one call, whatever the size of the batch, and answers with one entry per row. The
    methods are described in ``serving.client.calls``, and the settings in `Connection`.

    Example:
        A batch without rows is answered without a server; ``docs/client.md`` shows the answers of one.

        >>> with Client("localhost:8500") as client:
        ...     client.search([], k=2)
        []
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
    unload_models = _asking(calls.unload_models)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Waits until the server answers and has a version of the model that it can ask.

        Raises:
            ServerTimeoutError: If there is none after ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if self._is_available(self.status(timeout_s=self._poll_timeout_s(deadline))):
                    return
            except NOT_READY:
                pass
            if time.monotonic() >= deadline:
                raise self._not_ready(timeout_s)
            time.sleep(POLL_S)

    def _open(self) -> None:
        self._channel = (
            grpc.insecure_channel(self.address, options=self._channel_options())
            if self.tls is None
            else grpc.secure_channel(self.address, self.tls.credentials(), options=self._channel_options())
        )
        self._methods: dict[Method, Callable[..., Any]] = {
            method: self._channel.unary_unary(method.path, method.serialize, method.parse)
            for method in METHODS
        }

    def ask(self, call: Call[_Answer]) -> _Answer:
        """Makes one call of ``serving.client.calls``; every other method uses this one."""
        if call.request is None:
            return call.read(None)
        timeout_s = self._timeout_s(call.timeout_s)
        deadline = time.monotonic() + timeout_s
        for attempt in itertools.count(1):
            remaining_s = deadline - time.monotonic()
            try:
                return call.read(self._methods[call.method](call.request, timeout=remaining_s))
            except grpc.RpcError as error:
                pause_s = self._pause_s(error, attempt=attempt, remaining_s=deadline - time.monotonic())
                if pause_s is None:
                    raise self._error(error, timeout_s) from error
            time.sleep(pause_s)
        raise AssertionError("the loop ends with an answer or an error")
