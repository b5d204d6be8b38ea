"""One version of a model in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from serving.server.batching.parameters import BatchingParameters
from serving.server.batching.scheduler import BatchingSession, BatchScheduler, OnDisconnect
from serving.server.metrics import Metrics
from serving.server.versions.session import SavedModelSession


class LoadedModel:
    """A SavedModel with its signatures, counted while requests use it.

    Args:
        path: The version's directory.
        session_config: Settings of TensorFlow's runtime.
        scheduler: The threads that batch requests across callers; None runs each request by itself.
        batching: The parameters of batching; only with a scheduler.
        metrics: The counters of requests.

    Attributes:
        signatures: Every signature of the graph by its name, as ``SignatureDef``.

    Raises:
        StatusError, OSError, ValueError: If the directory holds no SavedModel this process can run.
    """

    def __init__(
        self,
        path: Path,
        *,
        session_config: tf.compat.v1.ConfigProto | None = None,
        scheduler: BatchScheduler | None = None,
        batching: BatchingParameters | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.path = path
        self.metrics = metrics or Metrics()
        self._session = SavedModelSession(path, config=session_config)
        self.signatures = self._session.signatures
        self._batching = None
        if scheduler is not None and batching is not None:
            self._batching = BatchingSession(self._session.run, scheduler=scheduler, parameters=batching)
        self._changed = threading.Condition()
        self._num_requests = 0
        self._retired = False

    def run(
        self,
        inputs: Mapping[str, np.ndarray[Any, Any]],
        outputs: Sequence[str],
        *,
        timeout_s: float | None = None,
        on_disconnect: OnDisconnect | None = None,
    ) -> list[np.ndarray[Any, Any]]:
        """Feeds and fetches tensors by name, computing only what the fetched ones need.

        Args:
            inputs: Arrays by the name of the tensor to feed; strings are object arrays of ``bytes``.
            outputs: The names of the tensors to fetch.
            timeout_s: The time that the run may take.
            on_disconnect: A function that takes what is to be done when the caller goes away. A request that
                waits in a queue is dropped then.

        Returns:
            The fetched tensors in the order of ``outputs``.

        Raises:
            StatusError: If the runtime refuses the feeds, a kernel fails, or the time is over.
        """
        # The runtime refuses a request of a wrong type; it must not refuse those batched with it.
        if self._batching is not None and self._session.accepts_types(inputs):
            return self._batching.run(inputs, outputs, timeout_s=timeout_s, on_disconnect=on_disconnect)
        return self._session.run(inputs, outputs, timeout_s=timeout_s)

    def retain(self) -> bool:
        """Counts a request that is about to use the model; false when the model is retired already."""
        with self._changed:
            self._num_requests += not self._retired
            return not self._retired

    def release(self) -> None:
        """Ends what ``retain`` began."""
        with self._changed:
            self._num_requests -= 1
            self._changed.notify_all()

    def retire(self) -> None:
        """Takes no more requests, waits for those under way, and gives the memory back."""
        with self._changed:
            self._retired = True
            self._changed.wait_for(lambda: self._num_requests == 0)
        if self._batching is not None:
            self._batching.close()
        self._session.close()
