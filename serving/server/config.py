"""How a server is set up."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

_NUM_THREADS = 4 * (os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The settings of one server: each is the flag of ``tensorflow_model_server`` of the same name.

    Only ``host`` and ``drain_timeout_s`` are our own.

    Attributes:
        host: The address to listen on.
        port: The gRPC port; 0 takes a free one.
        grpc_socket_path: A UNIX socket to listen on as well; empty for none.
        grpc_channel_arguments: Options of the gRPC server, ``key=value,key=value``.
        grpc_max_threads: How many gRPC requests are answered at once.
        enable_grpc_healthcheck_service: Whether ``grpc.health.v1.Health`` is served.
        ssl_config_file: A text proto ``SSLConfig``; None serves gRPC without TLS.
        rest_api_port: The port of the REST API; 0 for none.
        rest_api_num_threads: How many REST requests are answered at once.
        rest_api_timeout_in_ms: How long a REST request may take.
        rest_api_enable_cors_support: Whether web pages of other origins may ask.
        monitoring_config_file: A text proto ``MonitoringConfig``; None for no metrics page.
        model_name: The name clients ask for.
        model_base_path: Absolute path of the directory that holds one directory per version.
        model_config_file: A text proto ``ModelServerConfig`` with any number of models, in place of the two
            above.
        model_config_file_poll_wait_seconds: Time between two looks at that file; 0 reads it once.
        allow_version_labels_for_unavailable_models: Whether a label may be given before its version is there.
        file_system_poll_wait_seconds: Time between two looks for versions; 0 looks once, below 0 never.
        num_load_threads: How many versions are loaded at once, after the start; 0 takes one at a time.
        num_unload_threads: How many versions are unloaded at once; 0 takes one at a time.
        max_num_load_retries: How often a failed load is tried again.
        load_retry_interval_micros: Time between two attempts.
        saved_model_tags: The tags of the graph to load.
        enable_model_warmup: Whether to replay a version's warm-up requests before it is available.
        num_request_iterations_for_warmup: How often each of them is replayed; 0 means once.
        enable_batching: Whether requests of different callers are run together.
        batching_parameters_file: A text proto ``BatchingParameters`` for all models.
        enable_per_model_batching_parameters: Whether ``batching_params.pbtxt`` of a version is used instead.
        tensorflow_session_parallelism: Threads of TensorFlow, within an operation and between operations; 0
            lets it choose.
        tensorflow_intra_op_parallelism: Threads within an operation.
        tensorflow_inter_op_parallelism: Threads between operations.
        tensorflow_session_config_file: A text proto ``ConfigProto``.
        enable_signature_method_name_check: Whether a signature's method name must fit the request's kind.
        enable_serialization_as_tensor_content: Whether tensors are answered as bytes, not as typed fields.
        drain_timeout_s: How long requests under way may take once the server is told to stop.

    Raises:
        ValueError: When a setting is out of its range.
    """

    host: str = "0.0.0.0"
    port: int = 8500
    grpc_socket_path: str = ""
    grpc_channel_arguments: str = ""
    grpc_max_threads: int = _NUM_THREADS
    enable_grpc_healthcheck_service: bool = False
    ssl_config_file: Path | None = None

    rest_api_port: int = 0
    rest_api_num_threads: int = _NUM_THREADS
    rest_api_timeout_in_ms: int = 30_000
    rest_api_enable_cors_support: bool = False
    monitoring_config_file: Path | None = None

    model_name: str = "default"
    model_base_path: Path | None = None
    model_config_file: Path | None = None
    model_config_file_poll_wait_seconds: int = 0
    allow_version_labels_for_unavailable_models: bool = False
    file_system_poll_wait_seconds: float = 1.0
    num_load_threads: int = 0
    num_unload_threads: int = 0
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000

    saved_model_tags: tuple[str, ...] = ("serve",)
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 0
    enable_batching: bool = False
    batching_parameters_file: Path | None = None
    enable_per_model_batching_parameters: bool = False
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    tensorflow_session_config_file: Path | None = None
    enable_signature_method_name_check: bool = False
    enable_serialization_as_tensor_content: bool = False

    drain_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if self.model_config_file is None and self.model_base_path is not None:
            if not self.model_base_path.is_absolute():
                raise ValueError(
                    f"Expected model {self.model_name} to have an absolute path or URI; "
                    f"got base_path()={self.model_base_path}"
                )
            if not self.model_name:
                raise ValueError("model_name must not be empty.")
        for name in ("port", "rest_api_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise ValueError(f"{name} must be between 0 and 65535. Got {getattr(self, name)}.")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}. Got {getattr(self, name)}.")


_LEAST = {
    "grpc_max_threads": 1,
    "rest_api_num_threads": 1,
    "rest_api_timeout_in_ms": 1,
    "model_config_file_poll_wait_seconds": 0,
    "num_load_threads": 0,
    "num_unload_threads": 0,
    "max_num_load_retries": 0,
    "load_retry_interval_micros": 0,
    "num_request_iterations_for_warmup": 0,
    "tensorflow_session_parallelism": 0,
    "tensorflow_intra_op_parallelism": 0,
    "tensorflow_inter_op_parallelism": 0,
}
