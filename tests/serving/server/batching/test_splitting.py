"""Requests larger than a batch, where they may be split."""

from __future__ import annotations

import numpy as np
import pytest

from serving.server.status_error import StatusError
from tests.serving.server.batching.recording import (
    MakeCallers,
    MakeSession,
    Recorder,
    refusal_of,
    values_of,
)


def test_large_request_is_split_and_put_together_again(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(
        make_session(max_batch_size=10, enable_large_batch_splitting=True, max_execution_batch_size=4)
    )
    clients.occupy()
    small = clients.call([1])
    large = clients.call([2, 3, 4, 5, 6, 7, 8, 9, 10], ["z", "y"])
    other = clients.call([11, 12, 13, 14, 15])
    recorder.gate.set()

    assert values_of(small) == [[2]]
    assert values_of(large) == [[3 * v for v in range(2, 11)], [2 * v for v in range(2, 11)]]
    assert values_of(other) == [[22, 24, 26, 28, 30]]
    by_outputs = [b for b, o in zip(recorder.batches, recorder.outputs, strict=True) if o == ["y"]]
    assert by_outputs == [[100], [1, 11, 12, 13], [14, 15]]


def test_split_request_that_does_not_fit_is_refused_whole(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(
        make_session(
            max_batch_size=10,
            enable_large_batch_splitting=True,
            max_execution_batch_size=2,
            max_enqueued_batches=2,
        )
    )
    clients.occupy()
    accepted = clients.call([1])

    assert refusal_of(clients.call([2, 3, 4, 5])) == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; task size is 4 but scheduling "
        "capacity is only 3 (num_enqueued_batches=1, max_enqueued_batches=2, open_batch_size=1, "
        "max_execution_batch_size=2)",
    )
    recorder.gate.set()
    assert values_of(accepted) == [[2]]


def test_failure_of_one_part_fails_the_split_request(make_session: MakeSession) -> None:
    session = make_session(max_batch_size=4, enable_large_batch_splitting=True, max_execution_batch_size=2)

    with pytest.raises(StatusError, match=r"A number is negative\."):
        session.run({"x": np.array([1, 2, 3, -1])}, ["y"])
