"""Sessions on the recorder, and callers of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import pytest

from serving.server.batching.parameters import BatchingParameters
from serving.server.batching.scheduler import BatchingSession, BatchScheduler
from serving.server.metrics import Metrics
from tests.serving.server.batching.recording import (
    Callers,
    MakeSession,
    Recorder,
)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make_session(recorder: Recorder, metrics: Metrics) -> Iterator[MakeSession]:
    """Makes a session on the recorder with a thread of its own, unless told otherwise."""
    schedulers = []

    def make(*, num_threads: int = 1, **parameters: Any) -> BatchingSession:
        scheduler = BatchScheduler(num_threads=num_threads, thread_pool_name="pool", metrics=metrics)
        schedulers.append(scheduler)
        return BatchingSession(recorder, scheduler=scheduler, parameters=BatchingParameters(**parameters))

    yield make
    for scheduler in schedulers:
        scheduler.stop()


@pytest.fixture
def pool(recorder: Recorder) -> Iterator[futures.ThreadPoolExecutor]:
    with futures.ThreadPoolExecutor(16) as pool:
        yield pool
        recorder.gate.set()


@pytest.fixture
def callers(recorder: Recorder, pool: futures.ThreadPoolExecutor) -> Callable[[BatchingSession], Callers]:
    return lambda session: Callers(session, recorder, pool)
