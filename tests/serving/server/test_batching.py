"""Batching with a run function that records what it is given and waits when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import pytest

from serving.server.batching import BatchingSession, BatchScheduler
from serving.server.batching_parameters import BatchingParameters
from serving.server.metrics import Metrics
from serving.server.status_error import StatusError

Array = np.ndarray[Any, Any]
_WRAPPED_RUN_COUNT = "/tensorflow/serving/batching_session/wrapped_run_count"


class _Recorder:
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


@pytest.fixture
def recorder() -> _Recorder:
    return _Recorder()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


MakeSession = Callable[..., BatchingSession]


@pytest.fixture
def make_session(recorder: _Recorder, metrics: Metrics) -> Iterator[MakeSession]:
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
def pool(recorder: _Recorder) -> Iterator[futures.ThreadPoolExecutor]:
    with futures.ThreadPoolExecutor(16) as pool:
        yield pool
        recorder.gate.set()


class _Callers:
    """Callers in threads of their own, each known to wait in the queue before the next one calls."""

    def __init__(
        self, session: BatchingSession, recorder: _Recorder, pool: futures.ThreadPoolExecutor
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


@pytest.fixture
def callers(recorder: _Recorder, pool: futures.ThreadPoolExecutor) -> Callable[[BatchingSession], _Callers]:
    return lambda session: _Callers(session, recorder, pool)


MakeCallers = Callable[[BatchingSession], _Callers]


def _values(answer: futures.Future[Any]) -> list[Any]:
    return [array.tolist() for array in answer.result(20)]


def _refusal(answer: futures.Future[Any]) -> tuple[str, str]:
    with pytest.raises(StatusError) as error:
        answer.result(20)
    return error.value.code.name, error.value.message


def test_lone_request_is_run_at_once(make_session: MakeSession, recorder: _Recorder) -> None:
    outputs = make_session().run({"x": np.array([1.0, 2.0])}, ["z", "y"])

    assert [array.tolist() for array in outputs] == [[3, 6], [2, 4]]
    assert recorder.batches == [[1, 2]]
    assert recorder.timeouts_s == [None]


def test_requests_that_wait_together_are_run_together(
    make_session: MakeSession, recorder: _Recorder, metrics: Metrics, callers: MakeCallers
) -> None:
    clients = callers(make_session())
    first = clients.occupy()

    answers = [clients.call([1, 2]), clients.call([3])]
    recorder.gate.set()

    assert [_values(answer) for answer in answers] == [[[2, 4]], [[6]]]
    assert _values(first) == [[200]]
    assert recorder.batches == [[100], [1, 2, 3]]
    assert metrics.value(_WRAPPED_RUN_COUNT) == 2
    assert ':queuing_latency_count{thread_pool_name="pool"} 3' in metrics.render()


def test_batch_holds_no_more_than_its_limit(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=3))
    clients.occupy()

    answers = [clients.call([1, 2]), clients.call([3, 4]), clients.call([5])]
    recorder.gate.set()

    assert [_values(answer) for answer in answers] == [[[2, 4]], [[6, 8]], [[10]]]
    assert recorder.batches == [[100], [1, 2], [3, 4, 5]]


def test_different_outputs_are_not_run_together(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session())
    clients.occupy()

    answers = [clients.call([1], ["y"]), clients.call([2], ["z"]), clients.call([3], ["z", "y"])]
    recorder.gate.set()

    assert [_values(answer) for answer in answers] == [[[2]], [[6]], [[9], [6]]]
    assert recorder.outputs == [["y"], ["y"], ["z"], ["y", "z"]]


def test_queues_take_turns(make_session: MakeSession, recorder: _Recorder, callers: MakeCallers) -> None:
    clients = callers(make_session(max_batch_size=1))
    clients.occupy()

    answers = [clients.call([value], outputs) for value in (1, 2) for outputs in (["y"], ["z"])]
    recorder.gate.set()

    for answer in answers:
        answer.result(20)
    assert recorder.outputs[1:] == [["y"], ["z"], ["y"], ["z"]]


def test_open_batch_waits_for_more_until_its_time_is_over(
    make_session: MakeSession, recorder: _Recorder
) -> None:
    started_s = time.monotonic()

    (output,) = make_session(batch_timeout_micros=100_000).run({"x": np.array([1])}, ["y"])

    assert time.monotonic() - started_s >= 0.1
    assert output.tolist() == [2]


def test_full_batch_waits_no_longer(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=2, batch_timeout_micros=3_600_000_000))

    answers = [clients.call([1]), clients.call([2])]

    assert [_values(answer) for answer in answers] == [[[2]], [[4]]]


def test_every_queue_is_watched_while_a_thread_is_busy(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(num_threads=2, max_batch_size=2, batch_timeout_micros=200_000))
    clients.occupy([1, 2])
    waiting = clients.call([3], ["z"])

    assert recorder.started.acquire(timeout=20)

    assert recorder.batches == [[1, 2], [3]]
    recorder.gate.set()
    assert _values(waiting) == [[9]]


def test_batch_is_filled_up_to_an_allowed_size(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=4, allowed_batch_sizes=(1, 4)))
    clients.occupy()

    answers = [clients.call([1]), clients.call([2, 3])]
    recorder.gate.set()

    assert [_values(answer) for answer in answers] == [[[2]], [[4, 6]]]
    assert recorder.batches == [[100], [1, 2, 3, 2]]


def test_request_without_rows_is_answered(make_session: MakeSession) -> None:
    (output,) = make_session(max_batch_size=4, allowed_batch_sizes=(4,)).run({"x": np.zeros(0)}, ["y"])

    assert output.tolist() == []


def test_request_larger_than_a_batch_is_refused(make_session: MakeSession) -> None:
    with pytest.raises(StatusError, match="Task size 3 is larger than maximum input batch size 2") as error:
        make_session(max_batch_size=2).run({"x": np.zeros(3)}, ["y"])

    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_full_queue_refuses_more(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=2, max_enqueued_batches=2))
    clients.occupy()
    accepted = [clients.call([1, 1]), clients.call([2]), clients.call([3])]

    assert _refusal(clients.call([4])) == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued "
        "and max_enqueued_batches is 2",
    )
    recorder.gate.set()
    assert [_values(answer) for answer in accepted] == [[[2, 2]], [[4]], [[6]]]


def test_one_full_queue_does_not_close_another(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=1, max_enqueued_batches=1))
    clients.occupy()
    clients.call([1], ["y"])

    other = clients.call([2], ["z"])

    recorder.gate.set()
    assert _values(other) == [[6]]


def test_error_of_a_batch_reaches_its_requests_only(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=2))
    clients.occupy()
    failing = [clients.call([1]), clients.call([-1])]
    fine = clients.call([2, 3])
    recorder.gate.set()

    assert [_refusal(answer) for answer in failing] == [("OUT_OF_RANGE", "A number is negative.")] * 2
    assert _values(fine) == [[4, 6]]


def test_with_padding_a_request_that_fails_its_batch_fails_alone(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(pad_variable_length_inputs=True))
    clients.occupy()
    fine = clients.call([1])
    failing = clients.call([-1])
    unfitting = clients.call([[2]])
    recorder.gate.set()

    assert _values(fine) == [[2]]
    assert _refusal(failing) == ("OUT_OF_RANGE", "A number is negative.")
    assert _values(unfitting) == [[[4]]]


def test_bug_in_a_run_reaches_the_caller_and_spares_the_thread(
    make_session: MakeSession, recorder: _Recorder
) -> None:
    session = make_session()

    with pytest.raises(StatusError, match="KeyError") as error:
        session.run({"w": np.zeros(1)}, ["y"])

    assert error.value.code is grpc.StatusCode.INTERNAL
    assert session.run({"x": np.ones(1)}, ["y"])[0].tolist() == [2]


@pytest.mark.parametrize(
    ("limits", "least_s", "most_s"),
    [([{"timeout_s": 100.0}, {"timeout_s": 500.0}], 400, 500), ([{"timeout_s": 100.0}, {}], None, None)],
)
def test_batch_may_take_as_long_as_its_most_patient_request(
    make_session: MakeSession,
    recorder: _Recorder,
    callers: MakeCallers,
    limits: list[dict[str, Any]],
    least_s: float | None,
    most_s: float | None,
) -> None:
    clients = callers(make_session())
    clients.occupy()
    answers = [clients.call([1], **limit) for limit in limits]
    recorder.gate.set()

    for answer in answers:
        answer.result(20)
    timeout_s = recorder.timeouts_s[-1]
    if timeout_s is None or least_s is None or most_s is None:
        assert timeout_s is least_s is most_s is None
    else:
        assert least_s < timeout_s < most_s


def test_request_that_waits_past_its_deadline_is_dropped(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session())
    clients.occupy()
    impatient = clients.call([1], timeout_s=0.05)
    patient = clients.call([2])

    assert _refusal(impatient) == (
        "RESOURCE_EXHAUSTED",
        "Run() timeout exceeded while waiting in batching queue",
    )
    recorder.gate.set()
    assert _values(patient) == [[4]]
    assert recorder.batches == [[100], [2]]


def test_request_whose_run_takes_too_long_is_answered_at_its_deadline(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session())

    assert _refusal(clients.occupy(timeout_s=0.5)) == (
        "DEADLINE_EXCEEDED",
        "Timed out waiting for notification",
    )


def test_request_whose_caller_goes_away_is_dropped(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    disconnect: list[Callable[[], None]] = []
    clients = callers(make_session(max_batch_size=1, max_enqueued_batches=1))
    clients.occupy()
    gone = clients.call([1], on_disconnect=lambda drop: disconnect.append(drop))

    disconnect[0]()

    assert _refusal(gone)[0] == "CANCELLED"
    place_is_free = clients.call([2])
    recorder.gate.set()
    assert _values(place_is_free) == [[4]]
    assert recorder.batches == [[100], [2]]


def test_caller_that_is_gone_already_is_not_waited_for(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session())
    clients.occupy()

    assert _refusal(clients.call([1], on_disconnect=lambda drop: False))[0] == "CANCELLED"


def test_caller_that_goes_away_during_the_run_changes_nothing(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    disconnect: list[Callable[[], None]] = []
    clients = callers(make_session())
    running = clients.occupy(on_disconnect=lambda drop: disconnect.append(drop))

    disconnect[0]()
    recorder.gate.set()

    assert _values(running) == [[200]]


def test_large_request_is_split_and_put_together_again(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
) -> None:
    clients = callers(
        make_session(max_batch_size=10, enable_large_batch_splitting=True, max_execution_batch_size=4)
    )
    clients.occupy()
    small = clients.call([1])
    large = clients.call([2, 3, 4, 5, 6, 7, 8, 9, 10], ["z", "y"])
    other = clients.call([11, 12, 13, 14, 15])
    recorder.gate.set()

    assert _values(small) == [[2]]
    assert _values(large) == [[3 * v for v in range(2, 11)], [2 * v for v in range(2, 11)]]
    assert _values(other) == [[22, 24, 26, 28, 30]]
    by_outputs = [b for b, o in zip(recorder.batches, recorder.outputs, strict=True) if o == ["y"]]
    assert by_outputs == [[100], [1, 11, 12, 13], [14, 15]]


def test_split_request_that_does_not_fit_is_refused_whole(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers
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

    assert _refusal(clients.call([2, 3, 4, 5])) == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; task size is 4 but scheduling "
        "capacity is only 3 (num_enqueued_batches=1, max_enqueued_batches=2, open_batch_size=1, "
        "max_execution_batch_size=2)",
    )
    recorder.gate.set()
    assert _values(accepted) == [[2]]


def test_failure_of_one_part_fails_the_split_request(make_session: MakeSession) -> None:
    session = make_session(max_batch_size=4, enable_large_batch_splitting=True, max_execution_batch_size=2)

    with pytest.raises(StatusError, match=r"A number is negative\."):
        session.run({"x": np.array([1, 2, 3, -1])}, ["y"])


def test_close_runs_what_waits_and_returns_when_it_is_done(
    make_session: MakeSession, recorder: _Recorder, callers: MakeCallers, pool: futures.ThreadPoolExecutor
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
    assert _values(waiting) == [[2]]


def test_many_callers_get_their_own_answers(
    make_session: MakeSession, recorder: _Recorder, metrics: Metrics, pool: futures.ThreadPoolExecutor
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
