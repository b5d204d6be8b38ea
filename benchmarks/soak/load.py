"""The load of the soak: threads that ask, check every answer, and record what happened."""

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
from serving.client.errors import ServingError
from serving.client.methods import PREDICT, Call
from serving.client.results import Result
from serving.pushed_model import MODEL_NAME

Scored = list[tuple[str, float]]

_TIMEOUT_S = 30.0
# A thread pauses between two requests, because a machine without idle time takes minutes to load a version.
_THINK_S = 0.1
# A thread also pauses while the server is down, because a tight loop would only slow the server's start.
_PAUSE_S = 0.1
_CANCELLED_WITHIN_S = 0.02
# The server is back within this time.
_DOWN_S = 120.0
# A request that makes no sense may get one of these codes. Any other code is a failure of the server.
REFUSALS = frozenset(
    {
        "OK",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "RESOURCE_EXHAUSTED",
        # gRPC itself answers with this code to bytes that are no message.
        "INTERNAL",
    }
)


class Versions:
    """The answers that each version must give, and the newest version that was seen to be available."""

    def __init__(self, expected: Sequence[Sequence[Sequence[Result]]]) -> None:
        self._expected = [[scored_ids(results) for results in answers] for answers in expected]
        self._variants: dict[int, int] = {}
        self._lock = threading.Lock()
        self.newest_available = 0
        self.answered: collections.Counter[int] = collections.Counter()

    def add(self, version: int, variant: int) -> None:
        """Records the variant of a version, before the version can answer."""
        self._variants[version] = variant

    def saw_available(self, version: int) -> None:
        """Records that the version is available; from now on no older version may answer."""
        with self._lock:
            self.newest_available = max(self.newest_available, version)

    def is_right(self, number: int, version: int, got: Scored, *, oldest: int) -> bool:
        """Whether ``version`` is at least ``oldest`` and must answer question ``number`` with ``got``."""
        with self._lock:
            self.answered[version] += 1
        known = version >= oldest and version in self._variants
        return known and is_same(self._expected[self._variants[version]][number], got)

    def is_right_of_any(self, number: int, got: Scored, *, oldest: int) -> bool:
        """Whether ``got`` is the answer of any version of at least ``oldest``; REST names no version."""
        variants = {variant for version, variant in self._variants.items() if version >= oldest}
        return any(is_same(self._expected[variant][number], got) for variant in variants)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """A valid request that was not answered. Its times are those of the monotonic clock."""

    kind: str
    sent: float
    ended: float
    error: str


class Journal:
    """The record of what all threads saw."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answers: collections.Counter[str] = collections.Counter()
        self.latencies_ms: dict[str, list[float]] = collections.defaultdict(list)
        self.refusals: collections.Counter[str] = collections.Counter()
        self.failures: list[Failure] = []
        self.wrong: list[str] = []

    def answered(self, kind: str, sent: float) -> None:
        """Records a right answer."""
        with self._lock:
            self.answers[kind] += 1
            self.latencies_ms[kind].append(1e3 * (time.monotonic() - sent))

    def refused(self, code: str) -> None:
        """Records the code that a request that makes no sense got."""
        with self._lock:
            self.refusals[code] += 1

    def failed(self, kind: str, sent: float, error: str) -> None:
        """Records a valid request without an answer."""
        with self._lock:
            self.failures.append(Failure(kind=kind, sent=sent, ended=time.monotonic(), error=error))

    def was_wrong(self, text: str) -> None:
        """Records a wrong answer."""
        with self._lock:
            self.wrong.append(text)


class Load:
    """The threads of every kind, which ask from ``start`` to ``stop``.

    Args:
        address: The address of the server's gRPC port.
        rest_port: The server's REST port, on localhost.
        questions: The questions that are asked.
        versions: The versions and their right answers.
        journal: The journal to record in.
        num_fuzzed: The number of requests that make no sense, spread over ``seconds``.
        seconds: The seconds that the load lasts.
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
        """Starts all threads."""
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stops the threads, each once it has the answer it waits for."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _thread(self, target: Callable[..., None], *arguments: Any) -> threading.Thread:
        def run() -> None:
            try:
                target(*arguments)
            except Exception as error:  # The soak would prove nothing if a thread could end unnoticed.
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
        """Sends a request until it is answered, because a request to a server that is down proves nothing."""
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
        """Leaves in the middle of requests: it cancels those over gRPC and hangs up on those over REST."""
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
                    # The server is down.
                    time.sleep(_PAUSE_S)


_PREDICT_PATH = f"/v1/models/{MODEL_NAME}:predict"


def _with_version(call: Call[Any]) -> Call[Any]:
    """The same call, whose answer also has the version that gave it."""
    read = call.read
    return dataclasses.replace(
        call, read=lambda response: (response.model_spec.version.value, read(response))
    )


def channel(address: str) -> grpc.Channel:
    """A channel with a connection of its own, so that a broken connection breaks no other channel."""
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
    """Asks the REST API on localhost, and returns the status and the body of its answer."""
    connection = http.client.HTTPConnection("localhost", port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", _PREDICT_PATH, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
