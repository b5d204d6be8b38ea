"""Errors, deadlines and callers that go away reach those they concern, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
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


def test_error_of_a_batch_reaches_its_requests_only(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(max_batch_size=2))
    clients.occupy()
    failing = [clients.call([1]), clients.call([-1])]
    fine = clients.call([2, 3])
    recorder.gate.set()

    assert [refusal_of(answer) for answer in failing] == [("OUT_OF_RANGE", "A number is negative.")] * 2
    assert values_of(fine) == [[4, 6]]


def test_with_padding_a_request_that_fails_its_batch_fails_alone(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session(pad_variable_length_inputs=True))
    clients.occupy()
    fine = clients.call([1])
    failing = clients.call([-1])
    unfitting = clients.call([[2]])
    recorder.gate.set()

    assert values_of(fine) == [[2]]
    assert refusal_of(failing) == ("OUT_OF_RANGE", "A number is negative.")
    assert values_of(unfitting) == [[[4]]]


def test_bug_in_a_run_reaches_the_caller_and_spares_the_thread(
    make_session: MakeSession, recorder: Recorder
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
    recorder: Recorder,
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
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session())
    clients.occupy()
    impatient = clients.call([1], timeout_s=0.05)
    patient = clients.call([2])

    assert refusal_of(impatient) == (
        "RESOURCE_EXHAUSTED",
        "Run() timeout exceeded while waiting in batching queue",
    )
    recorder.gate.set()
    assert values_of(patient) == [[4]]
    assert recorder.batches == [[100], [2]]


def test_request_whose_run_takes_too_long_is_answered_at_its_deadline(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session())

    assert refusal_of(clients.occupy(timeout_s=0.5)) == (
        "DEADLINE_EXCEEDED",
        "Timed out waiting for notification",
    )


def test_request_whose_caller_goes_away_is_dropped(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    disconnect: list[Callable[[], None]] = []
    clients = callers(make_session(max_batch_size=1, max_enqueued_batches=1))
    clients.occupy()
    gone = clients.call([1], on_disconnect=lambda drop: disconnect.append(drop))

    disconnect[0]()

    assert refusal_of(gone)[0] == "CANCELLED"
    place_is_free = clients.call([2])
    recorder.gate.set()
    assert values_of(place_is_free) == [[4]]
    assert recorder.batches == [[100], [2]]


def test_caller_that_is_gone_already_is_not_waited_for(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    clients = callers(make_session())
    clients.occupy()

    assert refusal_of(clients.call([1], on_disconnect=lambda drop: False))[0] == "CANCELLED"


def test_caller_that_goes_away_during_the_run_changes_nothing(
    make_session: MakeSession, recorder: Recorder, callers: MakeCallers
) -> None:
    disconnect: list[Callable[[], None]] = []
    clients = callers(make_session())
    running = clients.occupy(on_disconnect=lambda drop: disconnect.append(drop))

    disconnect[0]()
    recorder.gate.set()

    assert values_of(running) == [[200]]
