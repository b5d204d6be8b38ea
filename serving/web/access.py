"""The gate in front of the gateway, which checks the host name, the key and the rate of each request."""

from __future__ import annotations

import ipaddress
import math
import time
from urllib.parse import urlsplit

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.config import is_loopback
from serving.web.errors import error_response
from serving.web.keys import KeyFile
from serving.web.request_log import record_of

# The page needs no key, because it asks for one. Probes need none either. Everything else needs a key.
_OPEN_PATHS = ("/", "/healthz", "/readyz", "/openapi.json")
_OPEN_FOLDER = "/static/"


class Gate:
    """Lets a request in, or answers with the reason why not.

    Args:
        app: The application behind the gate.
        keys: The keys that are let in; ``None`` lets everybody in.
        rate_limit: The limit of each key, or of each address without a known key; ``None`` for no limit.
        local_only: Whether only this machine's own host names are answered. Otherwise a foreign page, open in
            a browser here, could ask a gateway without keys under a host name of its own (DNS rebinding).
    """

    def __init__(
        self, app: ASGIApp, *, keys: KeyFile | None, rate_limit: RateLimitItem | None, local_only: bool
    ) -> None:
        self._app, self._keys, self._limit, self._local_only = app, keys, rate_limit, local_only
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = await self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self._local_only and not is_loopback(urlsplit(f"//{headers.get('host', '')}").hostname or ""):
            return error_response(421, "A gateway without keys answers under the names of this machine only.")
        if scope["path"] in _OPEN_PATHS or scope["path"].startswith(_OPEN_FOLDER):
            return None

        name = self._keys.name_of(_bearer(headers)) if self._keys else None
        who = f"key {name}" if name else _network((scope.get("client") or ("",))[0])
        # The rate is checked before the key, so that guessing keys is limited too.
        if self._limit is not None and not await self._limiter.hit(self._limit, who):
            reset, _ = await self._limiter.get_window_stats(self._limit, who)
            wait_s = max(1, math.ceil(reset - time.time()))
            return error_response(
                429,
                f"At most {self._limit} are answered. Got more; come back in {wait_s} s.",
                {"Retry-After": str(wait_s)},
            )
        if self._keys and name is None:
            return error_response(
                401,
                "The header Authorization must be `Bearer` and a key of this gateway. Got no such key.",
                {"WWW-Authenticate": "Bearer"},
            )
        record_of(scope).line["key"] = name
        return None


def _bearer(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _network(address: str) -> str:
    """The part of an address that counts as one caller.

    A household chooses the last 64 bits of an IPv6 address itself, so only the first 64 count.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
