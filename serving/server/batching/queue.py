"""Queue of batches for one set of fed and fetched tensors; the last batch takes more requests."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from concurrent import futures
from typing import Protocol

import grpc

from serving.server.batching import batches
from serving.server.batching.parameters import BatchingParameters
from serving.server.status_error import StatusError, invalid_argument


class Run(Protocol):
    """A function that runs a batch: ``SavedModelSession.run``."""

    def __call__(
        self, inputs: batches.Inputs, outputs: Sequence[str], *, timeout_s: float | None
    ) -> list[batches.Array]: ...


@dataclasses.dataclass(eq=False, kw_only=True)
class Task:
    """A request, or a part of one; ``batch`` is where it waits, until a thread takes it."""

    inputs: batches.Inputs
    size: int
    enqueued_s: float
    deadline_s: float | None
    batch: Batch | None = None
    answer: futures.Future[batches.Inputs] = dataclasses.field(default_factory=futures.Future)


class Batch:
    """Tasks that are run together."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.size = 0
        self.opened_s = 0.0

    def add(self, task: Task) -> None:
        if not self.tasks:
            self.opened_s = task.enqueued_s
        self.tasks.append(task)
        self.size += task.size
        task.batch = self

    def remove(self, task: Task) -> None:
        self.tasks.remove(task)
        self.size -= task.size
        task.batch = None


class BatchQueue:
    """The waiting batches of one set of tensors; its scheduler's lock guards all of it."""

    def __init__(self, run: Run, outputs: Sequence[str], parameters: BatchingParameters) -> None:
        self.run = run
        self.outputs = outputs
        self.parameters = parameters
        self.num_running = 0
        self.closed = False
        self.is_listed = False
        self._batches = collections.deque([Batch()])

    @property
    def has_tasks(self) -> bool:
        return any(batch.tasks for batch in self._batches)

    def due_s(self) -> float:
        """When the first batch is to be run, if nothing else happens."""
        first = self._batches[0]
        is_full = len(self._batches) > 1 or first.size >= self.parameters.batch_size_limit
        return 0.0 if is_full or self.closed else first.opened_s + self.parameters.batch_timeout_micros / 1e6

    def put(self, task: Task) -> list[Task]:
        """Adds a task to the open batch, and what does not fit to new ones.

        Returns:
            The parts of the task.

        Raises:
            StatusError: If it is too large or the queue is full.
        """
        self._check_capacity(task.size)
        limit = self.parameters.batch_size_limit
        room = limit - self._batches[-1].size
        parts = [task]
        if task.size > room and self.parameters.enable_large_batch_splitting:
            parts = _cut(task, first=room, rest=limit)
        for part in parts:
            if self._batches[-1].size + part.size > limit:
                self._batches.append(Batch())
            self._batches[-1].add(part)
        return parts

    def take(self) -> Batch:
        """Removes the first batch; nothing joins it or leaves it from now on."""
        batch = self._batches.popleft()
        if not self._batches:
            self._batches.append(Batch())
        for task in batch.tasks:
            task.batch = None
        return batch

    def remove(self, task: Task) -> bool:
        """Drops a task that still waits; false when it waits no more."""
        batch = task.batch
        if batch is None:
            return False
        batch.remove(task)
        if not batch.tasks and batch is not self._batches[-1]:
            self._batches.remove(batch)
        return True

    def _check_capacity(self, size: int) -> None:
        parameters, limit = self.parameters, self.parameters.batch_size_limit
        if size > parameters.max_batch_size:
            raise invalid_argument(
                f"Task size {size} is larger than maximum input batch size {parameters.max_batch_size}"
            )
        num_batches, open_size = len(self._batches), self._batches[-1].size
        if parameters.enable_large_batch_splitting:
            capacity = (parameters.max_enqueued_batches - num_batches) * limit + limit - open_size
            reason = (
                f"task size is {size} but scheduling capacity is only {capacity} "
                f"(num_enqueued_batches={num_batches}, "
                f"max_enqueued_batches={parameters.max_enqueued_batches}, "
                f"open_batch_size={open_size}, max_execution_batch_size={limit})"
            )
            is_full = size > capacity
        else:
            most = max(1, parameters.max_enqueued_batches)
            reason = f"currently {num_batches} batches enqueued and max_enqueued_batches is {most}"
            is_full = open_size + size > limit and num_batches >= most
        if is_full:
            raise StatusError(
                grpc.StatusCode.UNAVAILABLE,
                f"The batch scheduling queue to which this task was submitted is full; {reason}",
            )


def _cut(task: Task, *, first: int, rest: int) -> list[Task]:
    starts = [*([0] if first else []), *range(first, task.size, rest)]
    ends = [*starts[1:], task.size]
    return [
        dataclasses.replace(
            task,
            inputs={name: array[start:end] for name, array in task.inputs.items()},
            size=end - start,
            answer=futures.Future(),
        )
        for start, end in zip(starts, ends, strict=True)
    ]
