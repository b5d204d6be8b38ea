"""How a server is set up."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The settings of one server; names and defaults are those of ``tensorflow_model_server``.

    Attributes:
        model_base_path: Absolute path of the directory that holds one directory per version.
        model_name: The name clients ask for.
        host: The address to listen on.
        port: The gRPC port; 0 takes a free one.
        file_system_poll_wait_seconds: Time between two looks for new versions.
        max_num_load_retries: How often a failed load is tried again.
        load_retry_interval_s: Time between two attempts.
        enable_model_warmup: Whether to replay a version's warm-up requests before it is available.
        grpc_max_threads: How many requests are answered at once.
        drain_timeout_s: How long requests under way may take once the server is told to stop.

    Raises:
        ValueError: When a setting is out of its range.
    """

    model_base_path: Path
    model_name: str = "default"
    host: str = "0.0.0.0"
    port: int = 8500
    file_system_poll_wait_seconds: float = 1.0
    max_num_load_retries: int = 5
    load_retry_interval_s: float = 60.0
    enable_model_warmup: bool = True
    grpc_max_threads: int = dataclasses.field(default_factory=lambda: 4 * (os.cpu_count() or 1))
    drain_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.model_base_path.is_absolute():
            raise ValueError(
                f"Expected model {self.model_name} to have an absolute path or URI; "
                f"got base_path()={self.model_base_path}"
            )
        if not self.model_name:
            raise ValueError("model_name must not be empty.")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 1 and 65535. Got {self.port}.")
        if self.file_system_poll_wait_seconds <= 0:
            raise ValueError(
                f"file_system_poll_wait_seconds must be above 0. Got {self.file_system_poll_wait_seconds:g}."
            )
        if self.max_num_load_retries < 0:
            raise ValueError(f"max_num_load_retries must be at least 0. Got {self.max_num_load_retries}.")
        if self.load_retry_interval_s < 0:
            raise ValueError(f"load_retry_interval_s must be at least 0. Got {self.load_retry_interval_s:g}.")
        if self.grpc_max_threads < 1:
            raise ValueError(f"grpc_max_threads must be at least 1. Got {self.grpc_max_threads}.")
