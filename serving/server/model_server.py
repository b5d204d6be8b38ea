"""The embedded server: one model behind TensorFlow Serving's gRPC services, in Python.

``python -m serving.server --port=8500 --model_name=tandem --model_base_path=/models/tandem``
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.server.config import ServerConfig
from serving.server.loaded_model import LoadedModel
from serving.server.model_service import ModelService
from serving.server.prediction_service import PredictionService
from serving.server.served import ServedModels
from serving.server.states import State, StateMonitor
from serving.server.status_error import StatusError
from serving.server.versions import VersionManager
from serving.server.warmup import warm_up

_log = logging.getLogger(__name__)
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Two servers on one port would share the requests in silence.
    ("grpc.so_reuseport", 0),
]


class StartError(RuntimeError):
    """The server cannot start; the text is the sentence the real server prints."""


class ModelServer:
    """Serves the newest version under a base path, and every newer one as it appears.

    Example:
        >>> config = ServerConfig(model_base_path=Path("/models/tandem"), model_name="tandem", port=0)
        >>> server = ModelServer(config)
        >>> server.start()                  # doctest: +SKIP
        >>> server.port                     # doctest: +SKIP
        43211
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        assert config.model_base_path is not None
        self._states = StateMonitor()
        served = ServedModels()
        self._versions = VersionManager(
            config.model_name,
            config.model_base_path,
            load=self._load,
            served=served,
            states=self._states,
            poll_wait_s=config.file_system_poll_wait_seconds,
            max_num_load_retries=config.max_num_load_retries,
            load_retry_interval_s=config.load_retry_interval_micros / 1e6,
        )
        self._executor = futures.ThreadPoolExecutor(config.grpc_max_threads, thread_name_prefix="grpc")
        self._grpc = grpc.server(self._executor, options=_OPTIONS)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(served), self._grpc
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self._states), self._grpc)
        self.port = config.port

    def start(self) -> None:
        """Loads the model, waiting for a first version if need be, and only then opens the port.

        Raises:
            StartError: When the first version fails to load, or when the port cannot be had.
        """
        name = self.config.model_name
        self._versions.start()
        ended = {State.AVAILABLE, State.END}
        self._states.wait_for(name, lambda versions: any(v.state in ended for v in versions.values()))
        versions = self._states.versions(name)
        if not any(v.state is State.AVAILABLE for v in versions.values()):
            failures = "".join(
                f"{{name: {name} version: {number}}} due to error: {v.error_message}}}, "
                for number, v in versions.items()
                if v.state is State.END
            )
            raise StartError(f"UNKNOWN: 1 servable(s) did not become available: {{{{{failures}}}")
        address = f"{self.config.host}:{self.config.port}"
        try:
            self.port = self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise StartError(
                f"UNKNOWN: The address {address} must be free and is not; choose another port."
            ) from error
        self._grpc.start()
        _log.info("Running gRPC ModelServer at %s:%d ...", self.config.host, self.port)

    def wait(self) -> None:
        """Waits until the server is stopped."""
        self._grpc.wait_for_termination()

    def stop(self) -> None:
        """Takes no more requests, and returns when those under way are answered."""
        self._grpc.stop(grace=self.config.drain_timeout_s).wait()
        self._versions.stop(timeout_s=self.config.drain_timeout_s)
        self._executor.shutdown(wait=False)

    def _load(self, path: Path) -> LoadedModel:
        try:
            model = LoadedModel(path)
            if self.config.enable_model_warmup:
                count = warm_up(model)
                _log.info("Replayed %d warm-up requests of %s", count, path)
        except StatusError:
            raise
        except Exception as error:
            # TensorFlow raises almost anything on a broken export; it must end this version, not the server.
            raise StatusError(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}") from error
        return model


def run(config: ServerConfig) -> None:
    """Serves until SIGTERM or Ctrl-C, then answers what is under way and returns.

    Raises:
        StartError: When the server cannot start.
    """

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:
        # A second signal must not cut the draining short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, interrupt) if in_main_thread else None
    server = ModelServer(config)
    try:
        server.start()
        server.wait()
    except KeyboardInterrupt:
        _log.info("Stopping; requests under way are answered first")
    finally:
        server.stop()
        if in_main_thread:
            signal.signal(signal.SIGTERM, previous)


def serve(
    model_dir: str | Path,
    *,
    port: int = 8500,
    model_name: str = "tandem",
    host: str = "0.0.0.0",
    **settings: Any,
) -> None:
    """Serves the versions in ``model_dir`` until SIGTERM or Ctrl-C.

    Args:
        model_dir: The directory with one directory per version.
        port: The gRPC port.
        model_name: The name clients ask for.
        host: The address to listen on.
        **settings: Further fields of ``ServerConfig``.

    Raises:
        StartError: When the server cannot start.
        ValueError: When a setting is out of its range.
    """
    path = Path(model_dir).resolve()
    run(ServerConfig(model_base_path=path, port=port, model_name=model_name, host=host, **settings))


def set_up_logging() -> None:
    """Sends the server's own log lines to standard error."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", stream=sys.stderr
    )
    # TensorFlow logs through its own handler; without this each of its lines comes twice.
    logging.getLogger("tensorflow").propagate = False
