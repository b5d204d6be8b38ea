"""Runs the gateway until it is told to stop."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from dataset.errors import DataError
from serving.web.app import create_app
from serving.web.config import GatewayConfig

# Longer than the slowest answer.
_DRAIN_S = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class HttpConfig:
    """How the gateway speaks HTTP.

    Attributes:
        port: To listen on; 0 takes a free one.
        tls_certificate: PEM file, with its chain; without one HTTP is plain.
        tls_key: PEM file of its key.
        trusted_proxies: Addresses and networks whose word on the caller's address is taken.
    """

    port: int = 8080
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()


def serve(config: GatewayConfig, http: HttpConfig) -> None:
    """Serves until SIGTERM or SIGINT, then answers what is under way and returns.

    Raises:
        DataError: When the port is not to be had, or a file is not what it should be.
    """
    try:
        app = create_app(config)
    except ValueError as error:
        raise DataError(str(error)) from error
    settings = uvicorn.Config(
        app,
        access_log=False,
        # Its own set-up closes the handlers of everybody else in the process.
        log_config=None,
        log_level="warning",
        server_header=False,
        # uvicorn would otherwise believe whatever connects from this machine.
        proxy_headers=bool(http.trusted_proxies),
        forwarded_allow_ips=list(http.trusted_proxies),
        timeout_graceful_shutdown=_DRAIN_S,
        ssl_certfile=http.tls_certificate,
        ssl_keyfile=http.tls_key,
        ws="none",
    )
    try:
        settings.load()
    except OSError as error:  # ssl.SSLError is one.
        raise DataError(
            f"The certificate and its key must be PEM files that belong together. Got {http.tls_certificate} "
            f"and {http.tls_key}: {error}."
        ) from error
    listening = _listen(config.host, http.port)
    server = uvicorn.Server(settings)
    # uvicorn has a handler of its own for as long as it serves. This one is for a signal before that, and for
    # the same signal once more, which uvicorn raises when it has drained.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    _announce(config, http, listening.getsockname()[1])
    asyncio.run(server.serve(sockets=[listening]))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # Python's own words go on after the system's, in brackets.
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise DataError(
            f"--host and --port must be an address of this machine and free. Got {host} and {port}: {reason}."
        ) from error


def _announce(config: GatewayConfig, http: HttpConfig, port: int) -> None:
    scheme = "https" if http.tls_certificate else "http"
    host = f"[{config.host}]" if ":" in config.host else config.host
    print(f"The page is at {scheme}://{host}:{port}/ and asks {config.server}.", file=sys.stderr)
    if not config.is_local and scheme == "http":
        print(
            "Keys and queries travel in the clear: put a proxy that speaks TLS in front, or give "
            "--tls-certificate and --tls-key.",
            file=sys.stderr,
        )
