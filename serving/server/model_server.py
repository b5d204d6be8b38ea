"""The embedded server: models behind TensorFlow Serving's services, in Python.

``python -m serving.server --port=8500 --model_name=tandem --model_base_path=/models/tandem``
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import grpc
from tensorflow_serving.config import model_server_config_pb2

from serving.server.config import ServerConfig
from serving.server.config_protos import parse_text
from serving.server.configuration import ConfigFile, Configuration
from serving.server.grpc_server import GrpcServer
from serving.server.loaded_model import LoadedModel
from serving.server.metrics import Metrics
from serving.server.model_configs import single_model
from serving.server.model_paths import ModelPaths
from serving.server.model_service import ModelService
from serving.server.prediction_service import PredictionService
from serving.server.served import ServedModels
from serving.server.states import StateMonitor
from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions import VersionManager
from serving.server.warmup import warm_up

_log = logging.getLogger(__name__)
_NUM_INITIAL_LOAD_THREADS = 4 * (os.cpu_count() or 1)


class StartError(RuntimeError):
    """The server cannot start; the text is the status the real server prints, ``CODE: message``."""


class ModelServer:
    """Serves the models of its configuration, each in the versions its policy wants, as they come and go.

    Example:
        >>> config = ServerConfig(model_base_path=Path("/models/tandem"), model_name="tandem", port=0)
        >>> server = ModelServer(config)
        >>> server.start()                  # doctest: +SKIP
        >>> server.port                     # doctest: +SKIP
        43211

    Raises:
        StartError: When a setting or a file it names is wrong.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._stopping = threading.Event()
        metrics = Metrics()
        states = StateMonitor()
        served = ServedModels()
        self._versions = VersionManager(
            load=self._load,
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
        try:
            _check(config)
            self._initial = self._read_initial_config()
            self._grpc = GrpcServer(
                config,
                prediction_service=PredictionService(served),
                model_service=ModelService(states, self._configuration, metrics),
            )
        except StatusError as error:
            raise _start_error(error) from error

    @property
    def port(self) -> int:
        """The gRPC port; the one that was taken, once the server has started."""
        return self._grpc.port

    def start(self) -> None:
        """Loads every model, waiting for a first version if need be, and only then opens the port.

        Raises:
            StartError: When a model fails to load, a label has no version, or the port cannot be had.
        """
        config = self.config
        self._versions.start()
        self._paths.start()
        try:
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
        except StatusError as error:
            raise _start_error(error) from error

    def wait(self) -> None:
        """Waits until the server is stopped."""
        self._grpc.wait()

    def stop(self) -> None:
        """Takes no more requests, and returns when those under way are answered and all models unloaded."""
        self._stopping.set()
        if self._config_file is not None:
            self._config_file.stop()
        self._grpc.stop(drain_timeout_s=self.config.drain_timeout_s)
        self._paths.stop()
        self._versions.stop(timeout_s=self.config.drain_timeout_s)

    def _read_initial_config(self) -> Any:
        config = self.config
        if config.model_config_file is not None:
            return parse_text(config.model_config_file, model_server_config_pb2.ModelServerConfig)
        if not config.model_base_path:
            raise invalid_argument(
                "Both server_options.model_base_path and server_options.model_config_file are empty!"
            )
        return single_model(config.model_name, str(config.model_base_path))

    def _load(self, name: str, version: int, path: Path) -> LoadedModel:
        try:
            model = LoadedModel(path)
            if self.config.enable_model_warmup:
                count = warm_up(model)
                _log.info("Replayed %d warm-up requests of {name: %s version: %d}", count, name, version)
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

    if config.port == 0 and not config.grpc_socket_path:
        # Nobody could tell which port the server took.
        raise _start_error(
            invalid_argument(
                "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
            )
        )
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


def _start_error(error: StatusError) -> StartError:
    return StartError(f"{error.code.name}: {error.message}")
