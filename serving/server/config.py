"""Settings of a server."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

_NUM_THREADS = 4 * (os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The settings of one server: each is the flag of ``tensorflow_model_server`` of the same name.

    Only ``host`` and ``drain_timeout_s`` are our own. Each flag's type carries its explanation.

    Raises:
        ValueError: If a setting is out of its range.
    """

    host: str = "0.0.0.0"
    drain_timeout_s: float = 30.0

    port: Annotated[int, "gRPC port"] = 8500
    grpc_socket_path: Annotated[str, "UNIX socket to listen on as well; with --port=0, instead"] = ""
    grpc_channel_arguments: Annotated[str, "options of gRPC, key=value,key=value"] = ""
    grpc_max_threads: Annotated[int, "gRPC requests answered at once"] = _NUM_THREADS
    enable_grpc_healthcheck_service: Annotated[bool, "serve grpc.health.v1.Health"] = False
    ssl_config_file: Annotated[Path | None, "text proto SSLConfig; gRPC is then served with TLS"] = None

    rest_api_port: Annotated[int, "port of the REST API; 0 for none"] = 0
    rest_api_num_threads: Annotated[int, "REST requests answered at once"] = _NUM_THREADS
    rest_api_timeout_in_ms: Annotated[int, "how long a REST request may take"] = 30_000
    rest_api_enable_cors_support: Annotated[bool, "let web pages of other origins ask"] = False
    monitoring_config_file: Annotated[Path | None, "text proto MonitoringConfig; for the metrics page"] = None

    model_name: Annotated[str, "name clients ask for"] = "default"
    model_base_path: Annotated[str | Path | None, "absolute path of the version directories"] = None
    model_config_file: Annotated[
        Path | None, "text proto ModelServerConfig: any number of models, in place of the two above"
    ] = None
    model_config_file_poll_wait_seconds: Annotated[float, "time between two looks at it; 0 reads it once"] = 0
    allow_version_labels_for_unavailable_models: Annotated[
        bool, "let a new label point to a version that is not available yet"
    ] = False
    file_system_poll_wait_seconds: Annotated[
        float, "time between two looks for versions; 0 looks once, below 0 never"
    ] = 1
    num_load_threads: Annotated[int, "versions loaded at once after the start; 0: one at a time"] = 0
    num_unload_threads: Annotated[int, "versions unloaded at once; 0: one at a time"] = 0
    max_num_load_retries: Annotated[int, "how often a failed load is tried again"] = 5
    load_retry_interval_micros: Annotated[int, "time between two attempts"] = 60_000_000

    enable_model_warmup: Annotated[bool, "replay a version's warm-up requests before it is available"] = True
    num_request_iterations_for_warmup: Annotated[int, "how often each is replayed; 0 means once"] = 0
    enable_batching: Annotated[bool, "run requests of different callers together"] = False
    batching_parameters_file: Annotated[Path | None, "text proto BatchingParameters for all models"] = None
    enable_per_model_batching_parameters: Annotated[
        bool, "use the batching_params.pbtxt of each version instead"
    ] = False
    tensorflow_session_parallelism: Annotated[int, "threads of TensorFlow; 0 lets it choose"] = 0
    tensorflow_intra_op_parallelism: Annotated[int, "threads within an operation, likewise"] = 0
    tensorflow_inter_op_parallelism: Annotated[int, "threads between operations, likewise"] = 0
    tensorflow_session_config_file: Annotated[Path | None, "text proto ConfigProto of the sessions"] = None
    enable_serialization_as_tensor_content: Annotated[
        bool, "answer with tensors as bytes, not as typed fields"
    ] = False

    def __post_init__(self) -> None:
        for name in ("port", "rest_api_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise ValueError(f"{name} must be between 0 and 65535. Got {getattr(self, name)}.")
        for name in ("grpc_max_threads", "rest_api_num_threads", "rest_api_timeout_in_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1. Got {getattr(self, name)}.")
        for name in ("num_load_threads", "num_unload_threads", "max_num_load_retries"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0. Got {getattr(self, name)}.")
