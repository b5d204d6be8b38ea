"""The gateway's client, whose answers name the version that gave them."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from serving.client.async_client import AsyncClient
from serving.client.methods import Call
from serving.client.results import Results


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """The results of a batch of one.

    Attributes:
        results: The results, best first.
        version: The version of the model that answered.
        took_ms: Milliseconds from the call to its response.
    """

    results: Results
    version: int
    took_ms: float


class VersionedClient(AsyncClient):
    """An `AsyncClient` that makes calls for one row and says which version answered."""

    async def listing(self, call: Call[list[Results]]) -> Listing:
        """Makes a call of ``serving.client.calls`` that lists items for one row.

        Raises:
            ServingError: If the server cannot be reached or refuses.
        """

        def read(response: Any) -> tuple[Results, int]:
            (row,) = call.read(response)
            return row, response.model_spec.version.value

        started = time.perf_counter()
        results, version = await self.ask(
            Call(method=call.method, request=call.request, read=read, timeout_s=call.timeout_s)
        )
        took_ms = (time.perf_counter() - started) * 1000
        return Listing(results=results, version=version, took_ms=round(took_ms, 2))
