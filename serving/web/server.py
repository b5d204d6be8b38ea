"""The HTTP server of the gateway, which runs until it is told to stop."""

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

# The slowest answer takes less than this.
_DRAIN_S = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class HttpConfig:
    """The HTTP settings of the gateway.

    Attributes:
        port: The port to listen on; 0 takes a free one.
        tls_certificate: PEM file of the certificate with its chain; without one the gateway speaks plain
            HTTP.
        tls_key: PEM file of the certificate's key.
        trusted_proxies: Addresses and networks of the proxies that are believed about the caller's address.
    """

    port: int = 8080
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()


def serve(config: GatewayConfig, http: HttpConfig) -> None:
    """Serves until SIGTERM or SIGINT, then finishes the open requests and returns.

    Raises:
        DataError: If the port is taken or not allowed, or if a file is not what it should be.
    """
    try:
        app = create_app(config)
    except ValueError as error:
        raise DataError(str(error)) from error
    settings = uvicorn.Config(
        app,
        access_log=False,
        # uvicorn's own log set-up would close the log handlers of everybody else in the process.
        log_config=None,
        log_level="warning",
        server_header=False,
        # Otherwise uvicorn would believe every proxy on this machine.
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
    # uvicorn has its own handler while it serves. This handler catches a signal before that time, and the
    # same signal again, which uvicorn raises once it has drained.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    _announce(config, http, listening.getsockname()[1])
    asyncio.run(server.serve(sockets=[listening]))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # Python appends text of its own to the system's, in brackets.
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise DataError(
            f"--host and --port must be a free address of this machine. Got {host} and {port}: {reason}."
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
