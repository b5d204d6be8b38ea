"""The REST API: requests come in over HTTP, and answers and errors become HTTP responses.

Requests are answered by a pool of threads, so that a slow one does not keep others from being read.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from concurrent import futures

import grpc
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from serving.server.metrics import Metrics
from serving.server.rest.calls import RestCalls
from serving.server.rest.json import write_error
from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.available import ServedModels
from serving.server.versions.states import StateMonitor

_ROOT = "/v1/"
# A body of JSON becomes many times as large in memory.
_MAX_BODY_BYTES = 256 * 2**20
_CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_HTTP_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


def rest_app(
    served: ServedModels,
    states: StateMonitor,
    metrics: Metrics,
    *,
    num_threads: int,
    timeout_s: float,
    enable_cors: bool = False,
    metrics_path: str | None = None,
) -> Starlette:
    """Makes the REST API of a server.

    Args:
        served: The versions that can be asked.
        states: The states of all versions.
        metrics: The counters of requests, and the page of metrics.
        num_threads: Requests that are answered at once.
        timeout_s: The time that the graph may take for one.
        enable_cors: Whether web pages of other origins may ask.
        metrics_path: The path of the page of metrics; None for no page.
    """
    executor = futures.ThreadPoolExecutor(num_threads, thread_name_prefix="rest")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        executor.shutdown(wait=False)

    endpoint = _Endpoint(
        RestCalls(served, states, timeout_s=timeout_s), metrics, executor, enable_cors, metrics_path
    )
    return Starlette(routes=[Mount("/", app=endpoint)], lifespan=lifespan)


class _Endpoint:
    """Takes every request, whatever its path and verb."""

    def __init__(
        self,
        calls: RestCalls,
        metrics: Metrics,
        executor: futures.Executor,
        enable_cors: bool,
        metrics_path: str | None,
    ) -> None:
        self._calls = calls
        self._metrics = metrics
        self._executor = executor
        self._enable_cors = enable_cors
        self._metrics_path = metrics_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        # The real server matches its routes against the whole target: undecoded, and with the query.
        path: str = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        target = f"{path}?{query}" if query else path
        if path == self._metrics_path:
            response = self._show_metrics(target)
        elif not target.lower().startswith(_ROOT):
            response = Response(status_code=404)
        else:
            response = await self._answer(request, target)
            if self._enable_cors:
                response.headers.update(_CORS_HEADERS)
        await response(scope, receive, send)

    def _show_metrics(self, target: str) -> Response:
        headers = {"Content-Type": "text/plain"}
        if target != self._metrics_path:
            text = f"Unexpected path: {target}. Should be {self._metrics_path}"
            return Response(text, status_code=400, headers=headers)
        return Response(self._metrics.render(), headers=headers)

    async def _answer(self, request: Request, target: str) -> Response:
        if request.method == "OPTIONS" and self._enable_cors:
            if re.search("https?://", request.headers.get("Origin", "")):
                return Response()
            message = "Origin header is missing in CORS preflight"
            return _refuse(StatusError(grpc.StatusCode.FAILED_PRECONDITION, message))
        started_s = time.monotonic()
        try:
            body = await _read_body(request)
        except StatusError as error:
            return _refuse(error)
        except ClientDisconnect:
            # Nobody is left to read an answer.
            return Response(status_code=_HTTP_STATUSES[grpc.StatusCode.CANCELLED])
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, self._call, request.method, target, request.headers, body, started_s
        )

    def _call(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, started_s: float
    ) -> Response:
        model_name = ""
        try:
            call = self._calls.find(method, target)
            model_name = call.model_name
            if "gzip" in headers.get("Content-Encoding", ""):
                body = _uncompress(body)
            text = call.run(body)
        except StatusError as error:
            self._metrics.request_count.increment(model_name, error.code.name)
            return _refuse(error)
        self._metrics.request_count.increment(model_name, grpc.StatusCode.OK.name)
        took_us = (time.monotonic() - started_s) * 1e6
        self._metrics.request_latency.observe(took_us, model_name, call.api, "REST")
        # Strings of the model that are no utf-8 go out as the bytes they are.
        return Response(text.encode(errors="surrogateescape"), media_type="application/json")


async def _read_body(request: Request) -> bytes:
    chunks = []
    num_bytes = 0
    async for chunk in request.stream():
        num_bytes += len(chunk)
        if num_bytes > _MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
    return b"".join(chunks)


def _uncompress(body: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        uncompressed = decompressor.decompress(body, _MAX_BODY_BYTES)
    except zlib.error as error:
        raise invalid_argument(f"Failed to uncompress the gzipped body: {error}") from error
    if decompressor.unconsumed_tail:
        raise _too_large()
    if not decompressor.eof:
        raise invalid_argument("Failed to uncompress the gzipped body: it is not complete")
    return uncompressed


def _too_large() -> StatusError:
    return invalid_argument(f"The body of a request must not be larger than {_MAX_BODY_BYTES} bytes.")


def _refuse(error: StatusError) -> Response:
    return Response(write_error(error), status_code=_HTTP_STATUSES[error.code], media_type="application/json")
