"""Parameters of batching, which runs requests of different callers together."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from serving.server import config_protos
from serving.server.status_error import invalid_argument


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchingParameters:
    """The fields of the real server's ``BatchingParameters``, with its defaults.

    Attributes:
        max_batch_size: The most rows of one request, and of one batch unless requests are split.
        batch_timeout_micros: Time that a batch waits to become full; 0 takes the requests that are there.
        max_enqueued_batches: The most batches that wait in one queue.
        num_batch_threads: Batches that run at once, over all models.
        thread_pool_name: The name of these threads in the metrics.
        allowed_batch_sizes: The sizes that a batch is filled up to; without any, no batch is filled up.
        pad_variable_length_inputs: Whether tensors of different widths are widened to the widest.
        enable_large_batch_splitting: Whether a request may be run in several batches.
        max_execution_batch_size: The most rows of one batch when requests are split.

    Raises:
        StatusError: If the real server would refuse to start with them.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    thread_pool_name: str = "batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    def __post_init__(self) -> None:
        if self.num_batch_threads < 1:
            raise invalid_argument(f"num_batch_threads must be positive; was {self.num_batch_threads}")
        if self.max_batch_size < 1:
            raise invalid_argument(f"input_batch_size_limit must be positive; was {self.max_batch_size}")
        if self.batch_timeout_micros < 0:
            raise invalid_argument(
                f"batch_timeout_micros must be non-negative; was {self.batch_timeout_micros}"
            )
        if self.enable_large_batch_splitting and self.max_enqueued_batches < 1:
            raise invalid_argument(f"max_enqueued_batches must be positive; was {self.max_enqueued_batches}")
        sizes = self.allowed_batch_sizes
        if sizes and list(sizes) != sorted(set(sizes)):
            raise invalid_argument("allowed_batch_sizes entries must be monotonically increasing")
        if sizes and sizes[-1] != self.max_batch_size:
            raise invalid_argument(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                f"{sizes[-1]}; expected {self.max_batch_size}"
            )
        if self.enable_large_batch_splitting and self.max_execution_batch_size > self.max_batch_size:
            raise invalid_argument(
                "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or "
                "equal to max_execution_batch_size."
            )

    @property
    def batch_size_limit(self) -> int:
        """The most rows of one batch."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size > 0:
            return self.max_execution_batch_size
        return self.max_batch_size

    def rounded(self, size: int) -> int:
        """The smallest allowed size that holds ``size`` rows."""
        return next((allowed for allowed in self.allowed_batch_sizes if allowed >= size), size)


def read_batching_parameters(path: Path) -> BatchingParameters:
    """Reads a text proto ``BatchingParameters``.

    Raises:
        StatusError: If it cannot be read or does not make sense.
    """
    values: dict[str, Any] = {}
    for field, value in config_protos.parse_text(path, config_protos.BatchingParameters).ListFields():
        values[field.name] = tuple(value) if field.name == "allowed_batch_sizes" else value
    return BatchingParameters(**{name: getattr(value, "value", value) for name, value in values.items()})
