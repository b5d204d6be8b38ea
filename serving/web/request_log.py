"""One JSON line a request, from which nobody learns who asked or what for."""

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
# Ours are short; of others' inventions the beginning is enough.
_MAX_PATH = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pseudonyms:
    """Keyed hashes in the place of identities: the same for the same one, and without the key nobody's.

    A plain hash would not do: whoever has the list of customers could hash them all.

    Attributes:
        key: At least 16 bytes. Another key gives other pseudonyms.
    """

    key: bytes = dataclasses.field(repr=False)

    @classmethod
    def of_this_process(cls) -> Pseudonyms:
        """By a key that nobody knows and that ends with the process."""
        return cls(key=secrets.token_bytes(32))

    def of(self, identity: str) -> str:
        """16 hexadecimal digits of HMAC-SHA256; empty for an empty identity."""
        if not identity:
            return ""
        return hmac.new(self.key, identity.encode(), hashlib.sha256).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """A request under way.

    Attributes:
        started: When it arrived, by ``time.perf_counter``.
        line: What the log will say of it; whoever learns something adds it.
    """

    started: float
    line: dict[str, Any]

    def took_ms(self) -> float:
        """Milliseconds since it arrived."""
        return round((time.perf_counter() - self.started) * 1000, 2)


def record_of(scope: Scope) -> Record:
    """The record that `RequestLog` has begun for a request."""
    record: Record = scope["state"][_RECORD]
    return record


class RequestLog:
    """Writes a line when a request is answered, with what those inside have added to its `Record`.

    Args:
        app: Answers the request.
        stream: Where to.
        pseudonyms: For the address.
    """

    def __init__(self, app: ASGIApp, *, stream: TextIO, pseudonyms: Pseudonyms) -> None:
        self._app, self._stream, self._pseudonyms = app, stream, pseudonyms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Of somebody who leaves before the answer there is no status.
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
