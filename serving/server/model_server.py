"""The embedded server: models behind TensorFlow Serving's services, in Python.

``python -m serving.server --port=8500 --model_name=tandem --model_base_path=/models/tandem``
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from tensorflow_serving.config import model_server_config_pb2

from serving.server.config import ServerConfig
from serving.server.config_protos import parse_text
from serving.server.configuration import ConfigFile, Configuration
from serving.server.grpc_server import GrpcServer
from serving.server.metrics import Metrics
from serving.server.model_configs import single_model
from serving.server.model_service import ModelService
from serving.server.prediction_service import PredictionService
from serving.server.rest.server import make_rest_server
from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.available import ServedModels
from serving.server.versions.loader import ModelLoader
from serving.server.versions.manager import VersionManager
from serving.server.versions.paths import ModelPaths
from serving.server.versions.states import StateMonitor

_log = logging.getLogger(__name__)
# A load, or a request beyond the time to drain, does not hold up the end for longer.
_UNLOAD_TIMEOUT_S = 5.0
_NUM_INITIAL_LOAD_THREADS = 4 * (os.cpu_count() or 1)


class StartError(RuntimeError):
    """The server cannot start; the text is the status the real server prints, ``CODE: message``."""


class ModelServer:
    """Serves the models of its configuration, each in the versions its policy wants, as they come and go.

    Raises:
        StartError: If a setting or a file it names is wrong.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._stopping = threading.Event()
        metrics = Metrics()
        states = StateMonitor()
        served = ServedModels()
        with _starting():
            _check(config)
            self._initial = self._read_initial_config()
            self._loader = ModelLoader(config, metrics)
            self._versions = VersionManager(
                load=self._loader.load,
                served=served,
                states=states,
                num_load_threads=_NUM_INITIAL_LOAD_THREADS,
                num_unload_threads=config.num_unload_threads,
                max_num_load_retries=config.max_num_load_retries,
                load_retry_interval_s=config.load_retry_interval_micros / 1e6,
            )
            self._paths = ModelPaths(
                aspire=self._versions.aspire, poll_wait_s=config.file_system_poll_wait_seconds
            )
            self._configuration = Configuration(
                served=served,
                states=states,
                paths=self._paths,
                allow_unavailable_labels=config.allow_version_labels_for_unavailable_models,
            )
            self._config_file: ConfigFile | None = None
            self._grpc = GrpcServer(
                config,
                prediction_service=PredictionService(
                    served, metrics, as_content=config.enable_serialization_as_tensor_content
                ),
                model_service=ModelService(states, self._configuration, metrics),
            )
            self._rest = make_rest_server(config, served=served, states=states, metrics=metrics)

    @property
    def port(self) -> int:
        """The gRPC port; the one that was taken, once the server has started."""
        return self._grpc.port

    def start(self) -> None:
        """Loads every model, waiting for a first version if need be, and only then opens the port.

        Raises:
            StartError: If a model fails to load, a label has no version, or the port cannot be had.
        """
        config = self.config
        with _starting():
            self._versions.start()
            self._paths.start()
            self._configuration.replace(
                self._initial, still_wanted=lambda: not self._stopping.is_set(), noun="servable"
            )
            self._versions.set_num_load_threads(config.num_load_threads)
            if config.model_config_file is not None and config.model_config_file_poll_wait_seconds > 0:
                self._config_file = ConfigFile(
                    config.model_config_file,
                    self._configuration,
                    poll_wait_s=config.model_config_file_poll_wait_seconds,
                )
                self._config_file.start()
            self._grpc.start()
            if self._rest is not None:
                self._rest.start()

    def wait(self) -> None:
        """Waits until the server is stopped."""
        self._grpc.wait()

    def stop(self) -> None:
        """Takes no more requests, and returns when those under way are answered and all models unloaded."""
        self._stopping.set()
        if self._config_file is not None:
            self._config_file.stop()
        self._grpc.drain(timeout_s=self.config.drain_timeout_s)
        if self._rest is not None:
            self._rest.stop()
        self._grpc.stop()
        self._paths.stop()
        self._versions.stop(timeout_s=_UNLOAD_TIMEOUT_S)
        self._loader.stop()

    def _read_initial_config(self) -> Any:
        config = self.config
        if config.model_config_file is not None:
            return parse_text(config.model_config_file, model_server_config_pb2.ModelServerConfig)
        if not config.model_base_path:
            raise invalid_argument(
                "Both server_options.model_base_path and server_options.model_config_file are empty!"
            )
        return single_model(config.model_name, str(config.model_base_path))


def run(config: ServerConfig) -> None:
    """Serves until SIGTERM or Ctrl-C, then answers what is under way and returns.

    Raises:
        StartError: If the server cannot start.
    """

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:
        # A second signal must not cut the draining short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    if config.port == 0 and not config.grpc_socket_path:
        # Nobody could tell which port the server took.
        raise StartError(
            "INVALID_ARGUMENT: At least one of server_options.grpc_port or server_options.grpc_socket_path "
            "must be set."
        )
    # TensorFlow's modules are half a million objects; a full collection of garbage that looks at them stops
    # every request for half a second.
    gc.freeze()
    server = ModelServer(config)
    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, interrupt) if in_main_thread else None
    try:
        server.start()
        server.wait()
    except KeyboardInterrupt:
        _log.info("Stopping; requests under way are answered first")
    finally:
        server.stop()
        if in_main_thread:
            signal.signal(signal.SIGTERM, previous)


def set_up_logging() -> None:
    """Sends the server's own log lines to standard error."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", stream=sys.stderr
    )
    # TensorFlow logs through its own handler; without this each of its lines comes twice.
    logging.getLogger("tensorflow").propagate = False
    # gRPC logs a traceback for each message that is no protobuf. Anybody may send one; the caller is told.
    logging.getLogger("grpc._common").setLevel(logging.CRITICAL)


def _check(config: ServerConfig) -> None:
    if config.batching_parameters_file is not None and not config.enable_batching:
        raise invalid_argument(
            "server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true."
        )
    intra, inter = config.tensorflow_intra_op_parallelism, config.tensorflow_inter_op_parallelism
    if intra > 0 and inter > 0 and config.tensorflow_session_parallelism > 0:
        raise invalid_argument(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. You cannot configure all."
        )


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    try:
        yield
    except StatusError as error:
        raise StartError(f"{error.code.name}: {error.message}") from error
