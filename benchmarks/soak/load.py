"""The load of the soak: threads that ask, check every answer, and write down what happened."""

from __future__ import annotations

import collections
import dataclasses
import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grpc

from benchmarks.soak.answers import Question, is_same, scored_ids
from benchmarks.soak.fuzz import fuzzed_requests
from serving.client import Client, tensors
from serving.client.calls import PREDICT, Call
from serving.client.errors import ServingError
from serving.client.results import Result
from serving.pushed_model import MODEL_NAME

Scored = list[tuple[str, float]]

_TIMEOUT_S = 30.0
# Between two requests of a thread: a machine without any idle time takes minutes to load a version.
_THINK_S = 0.1
# While the server is down, asking in a tight loop would only slow its start.
_PAUSE_S = 0.1
_CANCELLED_WITHIN_S = 0.02
# The longest that the server takes to be there again.
_DOWN_S = 120.0
# What a request that makes no sense may be told; anything else is the server's own failure.
REFUSALS = frozenset(
    {
        "OK",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "RESOURCE_EXHAUSTED",
        # What gRPC itself says of bytes that are no message.
        "INTERNAL",
    }
)


class Versions:
    """What each version must answer, and which of them has been seen to be available."""

    def __init__(self, expected: Sequence[Sequence[Sequence[Result]]]) -> None:
        self._expected = [[scored_ids(results) for results in answers] for answers in expected]
        self._variants: dict[int, int] = {}
        self._lock = threading.Lock()
        self.newest_available = 0
        self.answered: collections.Counter[int] = collections.Counter()

    def add(self, version: int, variant: int) -> None:
        """Says which variant a version is, before it can answer."""
        self._variants[version] = variant

    def saw_available(self, version: int) -> None:
        """From now on no older version may answer."""
        with self._lock:
            self.newest_available = max(self.newest_available, version)

    def is_right(self, number: int, version: int, got: Scored, *, oldest: int) -> bool:
        """Whether ``version``, at least ``oldest``, answers the question of that number so."""
        with self._lock:
            self.answered[version] += 1
        known = version >= oldest and version in self._variants
        return known and is_same(self._expected[self._variants[version]][number], got)

    def is_right_of_any(self, number: int, got: Scored, *, oldest: int) -> bool:
        """The same where an answer does not say of which version it is."""
        variants = {variant for version, variant in self._variants.items() if version >= oldest}
        return any(is_same(self._expected[variant][number], got) for variant in variants)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """A valid request that was not answered; times of the monotonic clock."""

    kind: str
    sent: float
    ended: float
    error: str


class Journal:
    """What all threads saw."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answers: collections.Counter[str] = collections.Counter()
        self.latencies_ms: dict[str, list[float]] = collections.defaultdict(list)
        self.refusals: collections.Counter[str] = collections.Counter()
        self.failures: list[Failure] = []
        self.wrong: list[str] = []

    def answered(self, kind: str, sent: float) -> None:
        """An answer that is right."""
        with self._lock:
            self.answers[kind] += 1
            self.latencies_ms[kind].append(1e3 * (time.monotonic() - sent))

    def refused(self, code: str) -> None:
        """What a request that makes no sense was told."""
        with self._lock:
            self.refusals[code] += 1

    def failed(self, kind: str, sent: float, error: str) -> None:
        """A valid request without an answer."""
        with self._lock:
            self.failures.append(Failure(kind=kind, sent=sent, ended=time.monotonic(), error=error))

    def was_wrong(self, text: str) -> None:
        """An answer that must not have been given."""
        with self._lock:
            self.wrong.append(text)


class Load:
    """Threads of every kind, from ``start`` to ``stop``.

    Args:
        address: The server's gRPC port.
        rest_port: Its REST port, on localhost.
        questions: What is asked.
        versions: What must be answered.
        journal: Where it is written down.
        num_fuzzed: How many requests that make no sense are sent, spread over ``seconds``.
        seconds: How long the load lasts.
    """

    def __init__(
        self,
        *,
        address: str,
        rest_port: int,
        questions: Sequence[Question],
        versions: Versions,
        journal: Journal,
        num_fuzzed: int,
        seconds: float,
    ) -> None:
        self._address, self._rest_port = address, rest_port
        self._questions, self._versions, self._journal = questions, versions, journal
        self._num_fuzzed, self._seconds = num_fuzzed, seconds
        self._stopped = threading.Event()
        operations = sorted({question.operation for question in questions})
        self._threads = [
            *(self._thread(self._ask, operation) for operation in operations),
            self._thread(self._ask_rest),
            self._thread(self._ask_status),
            self._thread(self._send_fuzzed),
            self._thread(self._disconnect),
        ]

    def start(self) -> None:
        """Begins."""
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends, once every thread has the answer it waits for."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _thread(self, target: Callable[..., None], *arguments: Any) -> threading.Thread:
        def run() -> None:
            try:
                target(*arguments)
            except Exception as error:  # A thread that ends unnoticed would prove nothing.
                self._journal.was_wrong(f"{target.__name__} ended: {type(error).__name__}: {error}")

        return threading.Thread(target=run, daemon=True)

    def _numbered(self, operation: str | None = None) -> Iterator[tuple[int, Question]]:
        """The questions in turn, with their numbers, until the load ends."""
        wanted = [(i, q) for i, q in enumerate(self._questions) if operation in (None, q.operation)]
        for numbered in itertools.cycle(wanted):
            if self._stopped.wait(_THINK_S):
                return
            yield numbered

    def _ask(self, operation: str) -> None:
        with Client(self._address, timeout_s=_TIMEOUT_S, num_attempts=1) as client:
            for number, question in self._numbered(operation):
                call = _with_version(question.call)
                oldest, sent = self._versions.newest_available, time.monotonic()
                try:
                    version, (results,) = client.ask(call)
                except ServingError as error:
                    self._journal.failed(operation, sent, str(error))
                    time.sleep(_PAUSE_S)
                    continue
                got = scored_ids(results)
                if self._versions.is_right(number, version, got, oldest=oldest):
                    self._journal.answered(operation, sent)
                else:
                    self._journal.was_wrong(f"{operation} {number} of version {version} (>= {oldest}): {got}")

    def _ask_rest(self) -> None:
        for number, question in self._numbered():
            oldest, sent = self._versions.newest_available, time.monotonic()
            try:
                status, body = post_json(self._rest_port, _json_request(question.call.request))
            except (OSError, http.client.HTTPException) as error:
                self._journal.failed("REST", sent, f"{type(error).__name__}: {error}")
                time.sleep(_PAUSE_S)
                continue
            if status != http.client.OK:
                self._journal.failed("REST", sent, f"{status}: {body[:200]!r}")
                continue
            outputs = json.loads(body)["outputs"]
            (ids,), (scores,) = outputs["item_ids"], outputs["scores"]
            got = [(item_id, score) for item_id, score in zip(ids, scores, strict=True) if item_id]
            if self._versions.is_right_of_any(number, got, oldest=oldest):
                self._journal.answered("REST", sent)
            else:
                self._journal.was_wrong(f"REST {number} (>= {oldest}): {got}")

    def _ask_status(self) -> None:
        with Client(self._address, timeout_s=_TIMEOUT_S, num_attempts=1) as client:
            while not self._stopped.wait(_PAUSE_S):
                sent = time.monotonic()
                try:
                    versions = client.status()
                except ServingError as error:
                    self._journal.failed("status", sent, str(error))
                    continue
                self._journal.answered("status", sent)
                for version in versions:
                    if version.state == "AVAILABLE":
                        self._versions.saw_available(version.version)

    def _send_fuzzed(self) -> None:
        requests = [question.call.request for question in self._questions]
        with channel(self._address) as connection:
            predict: Any = connection.unary_unary(PREDICT.path)
            for i, request in enumerate(
                itertools.islice(fuzzed_requests(requests, seed=1), self._num_fuzzed)
            ):
                due = self._started + self._seconds * i / self._num_fuzzed
                time.sleep(max(due - time.monotonic(), 0.0))
                self._send_one(predict, request)

    def _send_one(self, predict: Any, request: bytes) -> None:
        """Sends a request until it is answered: one that meets a server that is down proves nothing."""
        deadline = time.monotonic() + _DOWN_S
        while time.monotonic() < deadline:
            sent = time.monotonic()
            try:
                predict(request, timeout=_TIMEOUT_S)
                code = "OK"
            except grpc.RpcError as error:
                code = error.code().name
                if code == "UNAVAILABLE":
                    self._journal.failed("fuzzed", sent, error.details() or "")
                    time.sleep(_PAUSE_S)
                    continue
                if code not in REFUSALS:
                    self._journal.was_wrong(f"fuzzed request: {code}: {error.details()}")
            self._journal.refused(code)
            return

    def _disconnect(self) -> None:
        """Goes away in the midst of a request, over gRPC by cancelling it and over REST by hanging up."""
        rng = random.Random(2)
        with channel(self._address) as connection:
            predict: Any = connection.unary_unary(PREDICT.path, request_serializer=PREDICT.serialize)
            for _, question in self._numbered():
                future = predict.future(question.call.request, timeout=_TIMEOUT_S)
                time.sleep(rng.uniform(0.0, _CANCELLED_WITHIN_S))
                future.cancel()
                self._journal.answered("cancelled", time.monotonic())
                try:
                    rest = http.client.HTTPConnection("localhost", self._rest_port, timeout=_TIMEOUT_S)
                    rest.request("POST", _PREDICT_PATH, _json_request(question.call.request))
                    rest.close()
                    self._journal.answered("hung up", time.monotonic())
                except OSError:
                    # It is down.
                    time.sleep(_PAUSE_S)


_PREDICT_PATH = f"/v1/models/{MODEL_NAME}:predict"


def _with_version(call: Call[Any]) -> Call[Any]:
    """The same call, answered with the version that answered besides."""
    read = call.read
    return dataclasses.replace(
        call, read=lambda response: (response.model_spec.version.value, read(response))
    )


def channel(address: str) -> grpc.Channel:
    """A connection that is shared with no other channel: what breaks it breaks nobody else's."""
    return grpc.insecure_channel(
        address,
        options=[
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )


def _json_request(request: Any) -> bytes:
    inputs: Mapping[str, Any] = {
        name: tensors.to_array(proto).tolist() for name, proto in request.inputs.items()
    }
    body = {"signature_name": request.model_spec.signature_name, "inputs": inputs}
    return json.dumps(body, default=bytes.decode).encode()


def post_json(port: int, body: bytes) -> tuple[int, bytes]:
    """Asks the REST API on localhost: status and body of its answer."""
    connection = http.client.HTTPConnection("localhost", port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", _PREDICT_PATH, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
