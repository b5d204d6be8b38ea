"""The safety layers of the gateway: a bound on each request's body, and headers that restrict browsers."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.web.errors import error_response

# A thousand item ids take far less than this.
MAX_BODY_BYTES = 256 * 1024
_BODY_TIMEOUT_S = 10.0

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class SafeHeaders:
    """Adds headers that forbid a browser everything the page does not need."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                # An answer belongs to one person, so it is not stored. The page's files may be, but they
                # change with the gateway's version.
                headers.setdefault("Cache-Control", "no-cache" if "etag" in headers else "no-store")
            await send(message)

        await self._app(scope, receive, add)


class BoundedBody:
    """Reads the whole body of a request first, and refuses a body that is too large or too slow."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(_BODY_TIMEOUT_S):
                body = await _read(Headers(scope=scope), receive)
        except TimeoutError:
            await error_response(408, f"The body must arrive within {_BODY_TIMEOUT_S:g} s.")(
                scope, receive, send
            )
            return
        if body is None:
            await error_response(413, f"The body must be of at most {MAX_BODY_BYTES} bytes. Got more.")(
                scope, receive, send
            )
            return
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)


async def _read(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body; ``None`` if it is too large."""
    declared = headers.get("content-length", "0")
    if len(declared) > len(str(MAX_BODY_BYTES)) or int(declared) > MAX_BODY_BYTES:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)
