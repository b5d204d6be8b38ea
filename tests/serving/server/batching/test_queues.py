"""Queues of requests: which are run together, in which order, and which are refused."""

from __future__ import annotations

import time
from concurrent import futures

import grpc
import numpy as np
import pytest

from serving.server.metrics import Metrics
from serving.server.status_error import StatusError
from tests.serving.server.batching.recording import (
    MakeCallers,
    MakeSession,
    Recorder,
    refusal_of,
    values_of,
)


def test_lone_request_is_run_at_once(make_session: MakeSession, recorder: Recorder) -> None:
    outputs = make_session().run({"x": np.array([1.0, 2.0])}, ["z", "y"])

    assert [array.tolist() for array in outputs] == [[3, 6], [2, 4]]
    assert recorder.batches == [[1, 2]]
    assert recorder.timeouts_s == [None]


def test_requests_that_wait_together_are_run_together(
    make_session: MakeSession, recorder: Recorder, metrics: Metrics, callers: MakeCallers
) -> None:
    clients = callers(make_session())
    first = clients.occupy()

    answers = [clients.call([1, 2]), clients.call([3])]
    recorder.gate.set()

    assert [values_of(answer) for answer in answers] == [[[2, 4]], [[6]]]
    assert values_of(first) == [[200]]
    assert recorder.batches == [[100], [1, 2, 3]]
    assert metrics.value("/tensorflow/serving/batching_session/wrapped_run_count") == 2
    assert ':queuing_latency_count{thread_pool_name="pool"} 3' in metrics.render()


def test_batch_holds_no_more_than_its_limit(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=3))
    clients.occupy()

    answers = [clients.call([1, 2]), clients.call([3, 4]), clients.call([5])]
    recorder.gate.set()

    assert [values_of(answer) for answer in answers] == [[[2, 4]], [[6, 8]], [[10]]]
    assert recorder.batches == [[100], [1, 2], [3, 4, 5]]


def test_different_outputs_are_not_run_together(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session())
    clients.occupy()

    answers = [clients.call([1], ["y"]), clients.call([2], ["z"]), clients.call([3], ["z", "y"])]
    recorder.gate.set()

    assert [values_of(answer) for answer in answers] == [[[2]], [[6]], [[9], [6]]]
    assert recorder.outputs == [["y"], ["y"], ["z"], ["y", "z"]]


def test_queues_take_turns(make_session: MakeSession, recorder: Recorder, callers: MakeCallers) -> None:
    clients = callers(make_session(max_batch_size=1))
    clients.occupy()

    answers = [clients.call([value], outputs) for value in (1, 2) for outputs in (["y"], ["z"])]
    recorder.gate.set()

    for answer in answers:
        answer.result(20)
    assert recorder.outputs[1:] == [["y"], ["z"], ["y"], ["z"]]


def test_open_batch_waits_for_more_until_its_time_is_over(
    make_session: MakeSession, recorder: Recorder
) -> None:
    started_s = time.monotonic()

    (output,) = make_session(batch_timeout_micros=100_000).run({"x": np.array([1])}, ["y"])

    assert time.monotonic() - started_s >= 0.1
    assert output.tolist() == [2]


def test_full_batch_waits_no_longer(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=2, batch_timeout_micros=3_600_000_000))

    answers = [clients.call([1]), clients.call([2])]

    assert [values_of(answer) for answer in answers] == [[[2]], [[4]]]


def test_every_queue_is_watched_while_a_thread_is_busy(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(num_threads=2, max_batch_size=2, batch_timeout_micros=200_000))
    clients.occupy([1, 2])
    waiting = clients.call([3], ["z"])

    assert recorder.started.acquire(timeout=20)

    assert recorder.batches == [[1, 2], [3]]
    recorder.gate.set()
    assert values_of(waiting) == [[9]]


def test_batch_is_filled_up_to_an_allowed_size(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=4, allowed_batch_sizes=(1, 4)))
    clients.occupy()

    answers = [clients.call([1]), clients.call([2, 3])]
    recorder.gate.set()

    assert [values_of(answer) for answer in answers] == [[[2]], [[4, 6]]]
    assert recorder.batches == [[100], [1, 2, 3, 2]]


def test_request_without_rows_is_answered(make_session: MakeSession) -> None:
    (output,) = make_session(max_batch_size=4, allowed_batch_sizes=(4,)).run({"x": np.zeros(0)}, ["y"])

    assert output.tolist() == []


def test_request_larger_than_a_batch_is_refused(make_session: MakeSession) -> None:
    with pytest.raises(StatusError, match="Task size 3 is larger than maximum input batch size 2") as error:
        make_session(max_batch_size=2).run({"x": np.zeros(3)}, ["y"])

    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_full_queue_refuses_more(make_session: MakeSession, recorder: Recorder, callers: MakeCallers) -> None:
    clients = callers(make_session(max_batch_size=2, max_enqueued_batches=2))
    clients.occupy()
    accepted = [clients.call([1, 1]), clients.call([2]), clients.call([3])]

    assert refusal_of(clients.call([4])) == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued "
        "and max_enqueued_batches is 2",
    )
    recorder.gate.set()
    assert [values_of(answer) for answer in accepted] == [[[2, 2]], [[4]], [[6]]]


def test_one_full_queue_does_not_close_another(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=1, max_enqueued_batches=1))
    clients.occupy()
    clients.call([1], ["y"])

    other = clients.call([2], ["z"])

    recorder.gate.set()
    assert values_of(other) == [[6]]


def test_close_runs_what_waits_and_returns_when_it_is_done(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers, pool: futures.ThreadPoolExecutor
) -> None:
    session = make_session(batch_timeout_micros=3_600_000_000)
    clients = callers(session)
    waiting = clients.call([1])
    recorder.gate.clear()

    closing = pool.submit(session.close)

    assert recorder.started.acquire(timeout=20)
    assert not closing.done()
    recorder.gate.set()
    closing.result(20)
    assert values_of(waiting) == [[2]]


def test_many_callers_get_their_own_answers(
    make_session: MakeSession, recorder: Recorder, metrics: Metrics, pool: futures.ThreadPoolExecutor
) -> None:
    session = make_session(num_threads=3, max_batch_size=16, max_enqueued_batches=1000)

    def call(seed: int) -> None:
        values = np.arange(seed, seed + seed % 5 + 1, dtype=np.float32)
        names = [["y"], ["z"], ["y", "z"]][seed % 3]
        expected = {"y": 2 * values, "z": 3 * values}
        for name, output in zip(names, session.run({"x": values}, names, timeout_s=20.0), strict=True):
            np.testing.assert_array_equal(output, expected[name])

    for answer in [pool.submit(call, seed) for seed in range(600)]:
        answer.result(30)
    session.close()
    assert sum(map(len, recorder.batches)) == sum(seed % 5 + 1 for seed in range(600))
