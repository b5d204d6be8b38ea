"""HTTP server of the REST API, with an event loop in a thread of its own."""

from __future__ import annotations

import errno
import logging
import math
import socket
import threading
import time

import grpc
import uvicorn
from starlette.types import ASGIApp

from serving.server.config import ServerConfig
from serving.server.metrics import Metrics
from serving.server.monitoring import read_metrics_path
from serving.server.rest.api import rest_app
from serving.server.status_error import StatusError
from serving.server.versions.available import ServedModels
from serving.server.versions.states import StateMonitor

_log = logging.getLogger(__name__)
# Clients usually keep an idle connection for a shorter time, so that it is they who close it.
_KEEP_ALIVE_S = 75
_ALL_INTERFACES = ("0.0.0.0", "::")


class RestServer:
    """Serves an application over HTTP from ``start`` to ``stop``.

    Args:
        app: The application.
        host: The address to listen on; one that means all interfaces takes IPv6 too where there is any.
        port: The port; 0 takes a free one.
        drain_timeout_s: The time that requests under way may take once the server is told to stop.

    Attributes:
        port: The port it listens on, once started.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int, drain_timeout_s: float) -> None:
        self.host = host
        self.port = port
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=math.ceil(drain_timeout_s),
            )
        )
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Opens the port; returns when requests are answered.

        Raises:
            StatusError: If the address cannot be had.
        """
        try:
            listener = _listen(self.host, self.port)
        except OSError as error:
            address = f"{self.host}:{self.port}"
            raise StatusError(
                grpc.StatusCode.UNKNOWN, f"The address {address} must be free and is not; choose another one."
            ) from error
        # Connections inherit the option. asyncio sets it only on sockets made for the protocol TCP by name.
        # Without it every answer waits 40 ms for the acknowledgement of its headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="rest", daemon=True
        )
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        _log.info("Exporting HTTP/REST API at:localhost:%d ...", self.port)

    def stop(self) -> None:
        """Takes no more requests, and returns when those under way are answered; nothing if not started."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join()


def make_rest_server(
    config: ServerConfig, *, served: ServedModels, states: StateMonitor, metrics: Metrics
) -> RestServer | None:
    """Makes the server of the REST API that ``config`` asks for, if it asks for one.

    Raises:
        StatusError: If the monitoring file is wrong.
    """
    metrics_path = None
    if config.monitoring_config_file is not None:
        metrics_path = read_metrics_path(config.monitoring_config_file)
    if config.rest_api_port == 0:
        return None
    if config.rest_api_port == config.port:
        # Here the real server goes on without, too.
        _log.error(
            "--rest_api_port cannot be same as --port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API."
        )
        return None
    app = rest_app(
        served,
        states,
        metrics,
        num_threads=config.rest_api_num_threads,
        timeout_s=config.rest_api_timeout_in_ms / 1000,
        enable_cors=config.rest_api_enable_cors_support,
        metrics_path=metrics_path,
    )
    return RestServer(
        app, host=config.host, port=config.rest_api_port, drain_timeout_s=config.drain_timeout_s
    )


def _listen(host: str, port: int) -> socket.socket:
    if host in _ALL_INTERFACES and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            # Containers often know IPv6 but have no address of it.
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            host = "0.0.0.0"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
