"""The tables of the serving benchmark, in Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.serving.load import OPERATIONS, Measured

# These are the name scopes of the servable, in the order in which a request passes them.
SCOPES = (
    *("spelling", "codes", "tokenise", "encode", "words", "meaning", "history", "rules"),
    *("retrieve", "arrange", "rank", "why", "answer"),
)
OTHER, IDLE = "other ops", "between ops"
ENCODER, PEER_ENCODER = "encoder", "peer's encoder"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CatalogueResult:
    """The measurements on one catalogue.

    Attributes:
        name: The size of the catalogue in words.
        served: The measurements over gRPC, by operation and number of clients, then by system.
        called: The latencies in ms inside one process, of both encoders alone and of each operation.
        session: What `benchmarks.serving.inside.measure_session` found of each operation.
    """

    name: str
    served: Mapping[tuple[str, int], Mapping[str, Measured]]
    called: Mapping[str, Sequence[float]]
    session: Mapping[str, Mapping[str, Any]]


def served_table(results: Sequence[CatalogueResult]) -> str:
    """The latency and throughput of both systems. A ratio above 1 is in favour of Tandem."""
    rows = []
    for result in results:
        for (operation, clients), systems in result.served.items():
            ours, peer = systems["tandem"], systems["peer"]
            rows.append(
                [
                    result.name,
                    operation,
                    str(clients),
                    *_latencies(ours),
                    f"{ours.per_second:.0f}",
                    *_latencies(peer),
                    f"{peer.per_second:.0f}",
                    f"{peer.percentile(50) / ours.percentile(50):.2f}",
                    f"{ours.per_second / peer.per_second:.2f}",
                ]
            )
    percentiles = ["p50", "p95", "p99"]
    header = ["items", "request", "clients", *(f"{p} ms" for p in percentiles), "req/s"]
    header += [*(f"peer {p}" for p in percentiles), "peer req/s", "p50 ratio", "req/s ratio"]
    return markdown_table(header, rows)


def where_time_goes_table(result: CatalogueResult) -> str:
    """The time in ms that each part of a request takes for one client, beside the same inside one process."""
    rows = []
    columns = {operation: _parts_ms(result, operation) for operation in OPERATIONS}
    for part in dict.fromkeys(part for column in columns.values() for part in column):
        rows.append([part, *(_ms(column.get(part)) for column in columns.values())])
    return markdown_table([f"{result.name}: p50 in ms", *OPERATIONS], rows)


def _parts_ms(result: CatalogueResult, operation: str) -> dict[str, float]:
    session = result.session[operation]
    graph = float(np.median(session["latencies_ms"]))
    parts = {part: graph * session["parts"].get(part, 0.0) for part in (*SCOPES, OTHER, IDLE)}
    parts["**graph, in a session**"] = graph
    parts["of which CPU"] = session["cpu_ms"]
    parts["ops that run, number"] = session["num_ops"]
    one = min(clients for _, clients in result.served)
    measured = result.served[operation, one]["tandem"]
    served = measured.percentile(50)
    parts["protocol"] = served - graph
    parts["of which the client's CPU"] = measured.client_cpu_ms
    parts[f"**served, {one} client{'s' if one > 1 else ''}**"] = served
    parts["plain SavedModel, in process"] = float(np.median(result.called[operation]))
    encoder = float(np.median(result.called[ENCODER]))
    parts["encoder alone, in process"] = encoder
    parts["peer's encoder alone, in process"] = float(np.median(result.called[PEER_ENCODER]))
    parts["served ÷ encoder alone"] = served / encoder
    return parts


def _latencies(measured: Measured) -> list[str]:
    return [_ms(measured.percentile(q)) for q in (50, 95, 99)]


def _ms(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
