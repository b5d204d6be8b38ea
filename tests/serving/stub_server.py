"""A gRPC server whose answers a test decides, for what no healthy server does."""

from __future__ import annotations

import threading
from concurrent import futures
from typing import Any, Self

import grpc

from serving.client import messages


class StubServer:
    """Answers GetModelStatus with one version that is available, after failing as often as it is told to.

    Args:
        num_failures: How many calls fail first.
        code: How they fail.
        details: What the server says then.
        credentials: TLS, if any.
        port: The port; 0 takes a free one.
        meeting: Where calls wait for each other, if they do.

    Attributes:
        peers: Who called, one entry a call.
    """

    def __init__(
        self,
        *,
        num_failures: int = 0,
        code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE,
        details: str = "The batch scheduling queue is full",
        credentials: grpc.ServerCredentials | None = None,
        port: int = 0,
        meeting: threading.Barrier | None = None,
    ) -> None:
        self.num_failures = num_failures
        self.code = code
        self.details = details
        self.meeting = meeting
        self.peers: list[str] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        handler: Any = grpc.unary_unary_rpc_method_handler(self._answer)
        service = grpc.method_handlers_generic_handler(
            "tensorflow.serving.ModelService", {"GetModelStatus": handler}
        )
        self._server.add_generic_rpc_handlers([service])
        address = f"localhost:{port}"
        self.port: int = (
            self._server.add_insecure_port(address)
            if credentials is None
            else self._server.add_secure_port(address, credentials)
        )
        self.address = f"localhost:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(grace=1).wait()

    def _answer(self, request: bytes, context: Any) -> bytes:
        self.peers.append(context.peer())
        if len(self.peers) <= self.num_failures:
            context.abort(self.code, self.details)
        if self.meeting is not None:
            self.meeting.wait(20)
        response = messages.GetModelStatusResponse()
        response.model_version_status.add(version=1, state=30)
        serialized: bytes = response.SerializeToString()
        return serialized
