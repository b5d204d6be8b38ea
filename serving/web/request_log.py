"""The request log, one JSON line a request, which does not tell who asked or for what."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import json
import secrets
import time
from typing import Any, TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_RECORD = "record"
# Our own paths are short. Of a path that a caller invented, the beginning is enough.
_MAX_PATH = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pseudonyms:
    """Keyed hashes that replace identities. An identity always has the same hash, and nobody without the key
    can tell whose it is.

    A plain hash would not do, because anybody with a list of the customers could hash them all.

    Attributes:
        key: At least 16 bytes. Another key gives other pseudonyms.
    """

    key: bytes = dataclasses.field(repr=False)

    @classmethod
    def of_this_process(cls) -> Pseudonyms:
        """Pseudonyms with a random key, which is lost when the process ends."""
        return cls(key=secrets.token_bytes(32))

    def of(self, identity: str) -> str:
        """The pseudonym: 16 hexadecimal digits of HMAC-SHA256, or empty for an empty identity."""
        if not identity:
            return ""
        return hmac.new(self.key, identity.encode(), hashlib.sha256).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """The record of a request that is being answered.

    Attributes:
        started: The time of its arrival, by ``time.perf_counter``.
        line: Its line of the log so far; each layer adds the fields it knows.
    """

    started: float
    line: dict[str, Any]

    def took_ms(self) -> float:
        """The milliseconds since the request arrived."""
        return round((time.perf_counter() - self.started) * 1000, 2)


def record_of(scope: Scope) -> Record:
    """The record that `RequestLog` has begun for a request."""
    record: Record = scope["state"][_RECORD]
    return record


class RequestLog:
    """Writes one line when a request has been answered, with the fields that the inner layers added.

    Args:
        app: The application that answers the request.
        stream: The stream to write to.
        pseudonyms: The pseudonyms that replace addresses.
    """

    def __init__(self, app: ASGIApp, *, stream: TextIO, pseudonyms: Pseudonyms) -> None:
        self._app, self._stream, self._pseudonyms = app, stream, pseudonyms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The status stays None if the caller leaves before the answer.
        line: dict[str, Any] = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "method": scope["method"],
            "path": scope["path"][:_MAX_PATH],
            "status": None,
            "address": self._pseudonyms.of((scope.get("client") or ("",))[0]),
        }
        record = Record(started=time.perf_counter(), line=line)
        scope.setdefault("state", {})[_RECORD] = record

        async def note_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                line["status"] = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            line["took_ms"] = record.took_ms()
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
