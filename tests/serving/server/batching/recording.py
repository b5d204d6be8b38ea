"""A run function that records what it is given and waits when told to, and callers that wait in line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import pytest

from serving.server.batching.scheduler import BatchingSession
from serving.server.status_error import StatusError

Array = np.ndarray[Any, Any]


class Recorder:
    """Doubles ``x`` into ``y``; a batch with a negative number fails; runs wait while the gate is shut."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.timeouts_s: list[float | None] = []
        self.outputs: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Semaphore(0)

    def __call__(self, inputs: Any, outputs: Sequence[str], *, timeout_s: float | None) -> list[Array]:
        self.batches.append(inputs["x"].tolist())
        self.timeouts_s.append(timeout_s)
        self.outputs.append(list(outputs))
        self.started.release()
        assert self.gate.wait(20)
        if (inputs["x"] < 0).any():
            raise StatusError(grpc.StatusCode.OUT_OF_RANGE, "A number is negative.")
        return [2 * inputs["x"] if name == "y" else 3 * inputs["x"] for name in outputs]


MakeSession = Callable[..., BatchingSession]


class Callers:
    """Callers in threads of their own, each known to wait in the queue before the next one calls."""

    def __init__(
        self, session: BatchingSession, recorder: Recorder, pool: futures.ThreadPoolExecutor
    ) -> None:
        self._session = session
        self._recorder = recorder
        self._pool = pool

    def call(
        self, values: Sequence[Any], outputs: Sequence[str] = ("y",), **limits: Any
    ) -> futures.Future[Any]:
        inputs = {"x": np.array(values, np.float32)}
        num_waiting = self.num_waiting() + len(self._recorder.batches)
        answer = self._pool.submit(self._session.run, inputs, outputs, **limits)
        while not answer.done() and self.num_waiting() + len(self._recorder.batches) == num_waiting:
            time.sleep(0.001)
        return answer

    def occupy(self, values: Sequence[float] = (100,), **limits: Any) -> futures.Future[Any]:
        """Keeps the one thread busy until the gate opens."""
        self._recorder.gate.clear()
        answer = self.call(values, **limits)
        assert self._recorder.started.acquire(timeout=20)
        return answer

    def num_waiting(self) -> int:
        queues = list(self._session._queues.values())
        return sum(len(batch.tasks) for queue in queues for batch in list(queue._batches))


MakeCallers = Callable[[BatchingSession], Callers]


def values_of(answer: futures.Future[Any]) -> list[Any]:
    return [array.tolist() for array in answer.result(20)]


def refusal_of(answer: futures.Future[Any]) -> tuple[str, str]:
    with pytest.raises(StatusError) as error:
        answer.result(20)
    return error.value.code.name, error.value.message
