"""The clients of the serving benchmark: closed loops, each in a process of its own, without TensorFlow."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np

from benchmarks.serving.peer import SERVICE, Answer, Question
from serving.client import Client, calls
from serving.client.methods import Call, Model
from serving.client.results import Results
from serving.pushed_model import MODEL_NAME
from serving.servable.extra_assets import ExtraAssets

Array = np.ndarray[Any, Any]

OPERATIONS = ("search", "recommend", "rank")
K = 10
NUM_CANDIDATES = 50
_NUM_QUESTIONS = 64
_TIMEOUT_S = 60.0
# Requests of this first time are not counted, until all processes have their job and the server is warm.
_WARM_UP_S = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ask:
    """One request: a query text, a history of item ids, candidates to be ranked."""

    query: str
    history: list[str]
    candidates: list[str]


def make_asks(version_dir: Path, ids: Sequence[str] | None = None) -> list[Ask]:
    """Makes requests from a model's own examples, the same every time.

    Args:
        version_dir: The model.
        ids: The items that candidates are drawn from; by default those of the examples.
    """
    examples = ExtraAssets(version_dir).read_examples()
    if ids is None:
        ids = [item["item_id"] for item in examples["items"]]
    queries = examples["queries"] + [item["title"].lower() for item in examples["items"]]
    histories = [[item["item_id"] for item in user["history"]] for user in examples["users"]]
    rng = np.random.default_rng(5)
    return [
        Ask(
            query=queries[i % len(queries)],
            history=histories[i % len(histories)],
            candidates=[ids[row] for row in rng.permutation(len(ids))[:NUM_CANDIDATES]],
        )
        for i in range(_NUM_QUESTIONS)
    ]


def read_ids(folder: Path) -> list[str]:
    """The items of a catalogue that ``benchmarks.serving.catalogue`` wrote."""
    ids: list[str] = np.load(folder / "ids.npy").tolist()
    return ids


def call_of(operation: str, ask: Ask) -> Call[list[Results]]:
    """The call that the client makes for a request."""
    model = Model(name=MODEL_NAME)
    if operation == "search":
        return calls.search(model, [ask.query], k=K)
    if operation == "recommend":
        return calls.recommend(model, histories=[ask.history], k=K)
    if operation == "similar":
        return calls.similar(model, ask.candidates[:1], k=K)
    return calls.rank(model, [ask.candidates], queries=[ask.query], histories=[ask.history])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """The job of one client, which asks ``system`` at ``address`` for ``operation`` until ``end``.

    Answers before ``start`` do not count. Times are seconds of the monotonic clock, which all processes
    share.
    """

    system: str
    address: str
    operation: str
    asks: list[Ask]
    start: float
    end: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """The latency of every request in ms, the seconds of the measurement, and the CPU time a client needs."""

    latencies_ms: Array
    seconds: float
    client_cpu_ms: float

    def percentile(self, q: float) -> float:
        """The ``q``-th percentile of the latencies, in ms."""
        return float(np.percentile(self.latencies_ms, q))

    @property
    def per_second(self) -> float:
        """The number of requests answered a second."""
        return len(self.latencies_ms) / self.seconds

    @classmethod
    def joined(cls, parts: Sequence[Measured]) -> Measured:
        """Joins the rounds of one measurement."""
        latencies = np.concatenate([part.latencies_ms for part in parts])
        cpu = sum(part.client_cpu_ms * len(part.latencies_ms) for part in parts) / max(len(latencies), 1)
        return cls(latencies_ms=latencies, seconds=sum(part.seconds for part in parts), client_cpu_ms=cpu)


class Clients:
    """Client processes, kept for as long as the ``with`` block lasts.

    Args:
        most: The number of processes to start, which is the most that can ask at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        for seed in range(self._most):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, seed), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.terminate()
            process.join()

    def measure(
        self, system: str, address: str, operation: str, asks: list[Ask], *, clients: int, seconds: float
    ) -> Measured:
        """Lets ``clients`` processes ask in closed loops.

        Raises:
            RuntimeError: If a request failed.
        """
        start = time.monotonic() + _WARM_UP_S
        job = Job(
            system=system,
            address=address,
            operation=operation,
            asks=asks,
            start=start,
            end=start + seconds,
        )
        for pipe in self._pipes[:clients]:
            pipe.send(job)
        answers = [pipe.recv() for pipe in self._pipes[:clients]]
        failures = [answer for answer in answers if isinstance(answer, str)]
        if failures:
            raise RuntimeError(f"Every request must be answered. Got from {system}: {failures[0]}")
        parts = [
            Measured(latencies_ms=latencies, seconds=seconds / clients, client_cpu_ms=cpu)
            for latencies, cpu in answers
        ]
        return Measured.joined(parts)


def _work(pipe: Connection, seed: int) -> None:
    connections: dict[tuple[str, str], Any] = {}
    pipe.send("ready")
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        key = job.system, job.address
        if key not in connections:
            connections[key] = _SYSTEMS[job.system](job.address)
        try:
            pipe.send(_loop(connections[key](job.operation), job, seed))
        except Exception as error:  # The other side must hear of any error, or it waits for ever.
            pipe.send(f"{type(error).__name__}: {error}")


def _loop(ask: Callable[[Ask], None], job: Job, seed: int) -> tuple[Array, float]:
    """Asks until the job's end, and counts the answers between the job's start and its end."""
    order = np.random.default_rng(seed).permutation(len(job.asks))
    latencies = []
    cpu_before = None
    for i in itertools.cycle(order):
        before = time.monotonic()
        if cpu_before is None and before >= job.start:
            cpu_before = time.process_time()
        ask(job.asks[i])
        now = time.monotonic()
        if now >= job.end:
            break
        if now >= job.start:
            latencies.append(1e3 * (now - before))
    cpu = time.process_time() - (cpu_before or 0.0)
    return np.array(latencies), 1e3 * cpu / (len(latencies) + 1)


def _tandem(address: str) -> Callable[[str], Callable[[Ask], None]]:
    client = Client(address, timeout_s=_TIMEOUT_S, num_attempts=1)

    def of(operation: str) -> Callable[[Ask], None]:
        def ask(question: Ask) -> None:
            (results,) = client.ask(call_of(operation, question))
            if not results:
                raise ValueError(f"{operation} must have an answer. Got none for {question}.")

        return ask

    return of


def _peer(address: str) -> Callable[[str], Callable[[Ask], None]]:
    channel = grpc.insecure_channel(address)
    questions: dict[str, Callable[[Ask], Any]] = {
        "search": lambda ask: Question(text=ask.query, k=K),
        "recommend": lambda ask: Question(history=ask.history, k=K),
        "rank": lambda ask: Question(text=ask.query, candidates=ask.candidates),
    }

    def of(operation: str) -> Callable[[Ask], None]:
        method = channel.unary_unary(
            f"/{SERVICE}/{operation}",
            request_serializer=Question.SerializeToString,
            response_deserializer=Answer.FromString,
        )

        def ask(question: Ask) -> None:
            answer = method(questions[operation](question), timeout=_TIMEOUT_S)
            results = list(zip(answer.item_ids, answer.titles, answer.scores, strict=True))
            if not results:
                raise ValueError(f"{operation} must have an answer. Got none for {question}.")

        return ask

    return of


_SYSTEMS = {"tandem": _tandem, "peer": _peer}
