"""The gRPC side of the server: its services, its addresses and its TLS."""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.server.config import ServerConfig
from serving.server.config_protos import SSLConfig, parse_text
from serving.server.status_error import StatusError, invalid_argument

_log = logging.getLogger(__name__)
_PREDICTION = "PredictionService"
_MODEL = "ModelService"
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Two servers on one port would share the requests in silence.
    ("grpc.so_reuseport", 0),
]


class GrpcServer:
    """Answers gRPC requests, with reflection always and ``grpc.health.v1`` where the configuration says so.

    Args:
        config: The addresses and the settings of gRPC.
        prediction_service: The servicer of ``PredictionService``.
        model_service: The servicer of ``ModelService``.

    Raises:
        StatusError: If the channel arguments or the TLS files are wrong.
    """

    def __init__(self, config: ServerConfig, *, prediction_service: Any, model_service: Any) -> None:
        self._config = config
        self._credentials = read_credentials(config.ssl_config_file) if config.ssl_config_file else None
        self._executor = futures.ThreadPoolExecutor(config.grpc_max_threads, thread_name_prefix="grpc")
        # gRPC takes the first of two values for one option.
        options = [*parse_channel_arguments(config.grpc_channel_arguments), *_OPTIONS]
        self._server = grpc.server(self._executor, options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction_service, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(model_service, self._server)
        _register_services()
        names = [f"tensorflow.serving.{_PREDICTION}", f"tensorflow.serving.{_MODEL}"]
        self._health = health.HealthServicer() if config.enable_grpc_healthcheck_service else None
        if self._health is not None:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
            names.append(health.SERVICE_NAME)
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], self._server)
        self._drained = threading.Event()
        self.port = config.port

    def start(self) -> None:
        """Opens the port and the socket.

        Raises:
            StatusError: If one of them cannot be had.
        """
        host, socket_path = self._config.host, self._config.grpc_socket_path
        if self.port or not socket_path:
            self.port = self._listen(f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}")
        if socket_path:
            self._listen(f"unix:{socket_path}")
        self._server.start()
        if self._health is not None:
            # The real server sets these two short names, once and for all.
            for name in (_MODEL, _PREDICTION):
                self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        if self.port:
            _log.info("Running gRPC ModelServer at %s:%d ...", host, self.port)
        if socket_path:
            _log.info("Running gRPC ModelServer at UNIX socket %s ...", socket_path)

    def wait(self) -> None:
        """Waits until the server is stopped."""
        self._server.wait_for_termination()

    def drain(self, *, timeout_s: float) -> None:
        """Takes no more requests; those under way may go on for that long."""
        if self._health is not None:
            self._health.enter_graceful_shutdown()
        self._drained = self._server.stop(grace=timeout_s)

    def stop(self) -> None:
        """Returns when the requests under way are answered, or their time is over."""
        self._drained.wait()
        self._executor.shutdown(wait=False)

    def _listen(self, address: str) -> int:
        try:
            if self._credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise StatusError(
                grpc.StatusCode.UNKNOWN, f"The address {address} must be free and is not; choose another one."
            ) from error


def _register_services() -> None:
    """Puts the descriptions of the services where reflection looks for them."""
    for module in ("prediction_service_pb2", "model_service_pb2"):
        # In tensorflow-serving-api 2.19 these modules are of an older protobuf: they register their file, and
        # then fail. The stubs do without them.
        with contextlib.suppress(AttributeError):
            importlib.import_module(f"tensorflow_serving.apis.{module}")


def parse_channel_arguments(text: str) -> list[tuple[str, int | str]]:
    """Reads ``key=value,key=value``; a value that is a number is handed on as one.

    Raises:
        StatusError: If a part is not of this form.
    """
    arguments: list[tuple[str, int | str]] = []
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise invalid_argument(f"grpc_channel_arguments must be key=value,key=value. Got {text}.")
        try:
            arguments.append((key, int(value)))
        except ValueError:
            arguments.append((key, value))
    return arguments


def read_credentials(path: Path) -> grpc.ServerCredentials:
    """The credentials of a text proto ``SSLConfig``, whose fields hold PEM texts.

    Raises:
        StatusError: If the file cannot be read, or its texts are no key, certificate and CA.
    """
    config = parse_text(path, SSLConfig)
    if config.client_verify and not config.custom_ca:
        raise invalid_argument(
            f"{path} must set custom_ca, which client_verify checks clients against. Got none."
        )
    credentials = grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
    # gRPC reads the texts only when a port is opened, and models may take minutes to load before that.
    trial = grpc.server(futures.ThreadPoolExecutor(1))
    try:
        trial.add_secure_port("localhost:0", credentials)
    except RuntimeError as error:
        raise invalid_argument(
            f"{path} must hold the PEM texts of a key, its certificate and, if any, a CA. "
            "Got texts that gRPC cannot use."
        ) from error
    return credentials
