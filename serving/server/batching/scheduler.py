"""Batching across callers: requests that wait at the same moment are run together.

Each set of fed and fetched tensors of a version has a queue of batches, the last of which is open: it takes
requests until it is full or has waited long enough. The threads of one scheduler run the batches of all
queues in turn, so what arrives while they are busy is run together, and what finds one idle is run at once.
"""

from __future__ import annotations

import collections
import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence

import grpc
import numpy as np

from serving.server.batching import batches
from serving.server.batching.parameters import BatchingParameters
from serving.server.batching.queue import Batch, BatchQueue, Run, Task
from serving.server.metrics import Metrics
from serving.server.status_error import StatusError

_log = logging.getLogger(__name__)

OnDisconnect = Callable[[Callable[[], object]], object]

# One request of a batch can be to blame for these.
_OWN_FAULT = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
)


class BatchScheduler:
    """The threads that run the batches of all models.

    Args:
        num_threads: Batches that run at once.
        thread_pool_name: The name of the threads in the metrics.
        metrics: The counters of waiting times and runs.
    """

    def __init__(self, *, num_threads: int, thread_pool_name: str, metrics: Metrics) -> None:
        self._thread_pool_name = thread_pool_name
        self._metrics = metrics
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        # They have tasks; the first is the one whose turn it is.
        self._queues: collections.deque[BatchQueue] = collections.deque()
        self._stopped = False
        for index in range(num_threads):
            # The threads are daemons, because a batch that runs must not hold up the process.
            name = f"{thread_pool_name}_{index}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def put(self, queue: BatchQueue, task: Task) -> list[Task]:
        """Adds a task to a queue.

        Returns:
            The parts of the task.

        Raises:
            StatusError: If the queue does not take it.
        """
        with self._lock:
            parts = queue.put(task)
            if not queue.is_listed:
                queue.is_listed = True
                self._queues.append(queue)
            self._changed.notify()
        return parts

    def remove(self, queue: BatchQueue, task: Task, error: StatusError) -> bool:
        """Drops a task that still waits, and answers it with ``error``; false when it waits no more."""
        with self._lock:
            was_waiting = queue.remove(task)
            self._emptied.notify_all()
        if was_waiting:
            task.answer.set_exception(error)
        return was_waiting

    def close(self, queues: Sequence[BatchQueue]) -> None:
        """Runs what waits in these queues at once, and returns when nothing of them runs any more."""
        with self._lock:
            for queue in queues:
                queue.closed = True
            self._changed.notify_all()
            self._emptied.wait_for(lambda: not any(q.has_tasks or q.num_running for q in queues))

    def stop(self) -> None:
        """Lets each thread end as soon as nothing waits any more."""
        with self._lock:
            self._stopped = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (work := self._next()) is not None:
            queue, batch = work
            self._process(queue, batch)
            with self._lock:
                queue.num_running -= 1
                self._emptied.notify_all()

    def _next(self) -> tuple[BatchQueue, Batch] | None:
        """Waits for a batch that is to be run now; nothing once the scheduler is stopped and empty."""
        with self._lock:
            while True:
                now_s, next_s = time.monotonic(), float("inf")
                for _ in range(len(self._queues)):
                    queue = self._queues.popleft()
                    batch = None
                    if queue.has_tasks and (self._stopped or queue.due_s() <= now_s):
                        batch = queue.take()
                        queue.num_running += 1
                    queue.is_listed = queue.has_tasks
                    if queue.is_listed:
                        self._queues.append(queue)
                        next_s = min(next_s, queue.due_s())
                    if batch is not None:
                        if self._queues:
                            # Another thread has to watch the rest.
                            self._changed.notify()
                        return queue, batch
                if self._stopped and not self._queues:
                    return None
                self._changed.wait(None if next_s == float("inf") else next_s - now_s)

    def _process(self, queue: BatchQueue, batch: Batch) -> None:
        now_s = time.monotonic()
        tasks = []
        for task in batch.tasks:
            self._metrics.queuing_latency.observe(1e6 * (now_s - task.enqueued_s), self._thread_pool_name)
            if task.deadline_s is not None and task.deadline_s <= now_s:
                task.answer.set_exception(_timed_out_in_queue())
            else:
                tasks.append(task)
        if tasks:
            self._answer(queue, tasks, now_s)

    def _answer(self, queue: BatchQueue, tasks: Sequence[Task], now_s: float) -> None:
        try:
            for task, answer in zip(tasks, self._run(queue, tasks, now_s), strict=True):
                task.answer.set_result(answer)
        except StatusError as error:
            if len(tasks) > 1 and queue.parameters.pad_variable_length_inputs and error.code in _OWN_FAULT:
                # A request that fits nobody else, of another rank say, must not fail those it waited with.
                for task in tasks:
                    self._answer(queue, [task], now_s)
            else:
                _fail(tasks, error)
        except Exception as error:
            # Any error must reach the callers, who wait, and must not end the thread.
            _log.exception("A batch of %d requests failed.", len(tasks))
            _fail(tasks, StatusError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"))

    def _run(self, queue: BatchQueue, tasks: Sequence[Task], now_s: float) -> list[batches.Inputs]:
        sizes = [task.size for task in tasks]
        num_padding_rows = queue.parameters.rounded(sum(sizes)) - sum(sizes) if any(sizes) else 0
        merged = batches.merge(
            [task.inputs for task in tasks],
            widen=queue.parameters.pad_variable_length_inputs,
            num_padding_rows=num_padding_rows,
        )
        deadlines_s = [task.deadline_s for task in tasks if task.deadline_s is not None]
        timeout_s = max(deadlines_s) - now_s if len(deadlines_s) == len(tasks) else None
        try:
            arrays = queue.run(merged, queue.outputs, timeout_s=timeout_s)
        finally:
            self._metrics.wrapped_run_count.increment()
        outputs = dict(zip(queue.outputs, arrays, strict=True))
        return batches.split(outputs, sizes, num_padding_rows=num_padding_rows)


def _fail(tasks: Sequence[Task], error: StatusError) -> None:
    for task in tasks:
        if not task.answer.done():
            task.answer.set_exception(error)


def _timed_out_in_queue() -> StatusError:
    return StatusError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue"
    )


class BatchingSession:
    """Runs requests of one version in batches.

    Args:
        run: The function that runs a batch.
        scheduler: The threads that call it, shared with other versions.
        parameters: The parameters of batching.
    """

    def __init__(self, run: Run, *, scheduler: BatchScheduler, parameters: BatchingParameters) -> None:
        self._run = run
        self._scheduler = scheduler
        self._parameters = parameters
        self._queues: dict[tuple[frozenset[str], frozenset[str]], BatchQueue] = {}

    def run(
        self,
        inputs: batches.Inputs,
        outputs: Sequence[str],
        *,
        timeout_s: float | None = None,
        on_disconnect: OnDisconnect | None = None,
    ) -> list[batches.Array]:
        """Waits for the answer of the batches that the request becomes part of; as ``LoadedModel.run``.

        Raises:
            StatusError: If the request cannot be batched, waited too long, or its batch failed.
        """
        now_s = time.monotonic()
        deadline_s = None if timeout_s is None else now_s + timeout_s
        task = Task(inputs=inputs, size=batches.num_rows(inputs), enqueued_s=now_s, deadline_s=deadline_s)
        queue = self._queue(inputs, outputs)
        parts = self._scheduler.put(queue, task)
        drop = functools.partial(self._drop, queue, parts, _disconnected())
        if on_disconnect is not None and on_disconnect(drop) is False:
            # The caller went away before anybody could be told to tell us.
            drop()
        try:
            answers = [part.answer.result(_remaining_s(deadline_s)) for part in parts]
        except StatusError as error:
            # Nobody needs the parts of a split request that still wait.
            self._drop(queue, parts, error)
            raise
        except TimeoutError as error:
            if self._drop(queue, parts, _timed_out_in_queue()):
                raise _timed_out_in_queue() from error
            raise StatusError(
                grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out waiting for notification"
            ) from error
        if len(answers) == 1:
            return [answers[0][name] for name in outputs]
        return [np.concatenate([answer[name] for answer in answers]) for name in outputs]

    def close(self) -> None:
        """Returns when nothing waits or runs any more."""
        self._scheduler.close(list(self._queues.values()))

    def _queue(self, inputs: batches.Inputs, outputs: Sequence[str]) -> BatchQueue:
        key = (frozenset(inputs), frozenset(outputs))
        queue = self._queues.get(key)
        if queue is None:
            queue = BatchQueue(self._run, sorted(set(outputs)), self._parameters)
            queue = self._queues.setdefault(key, queue)
        return queue

    def _drop(self, queue: BatchQueue, parts: Sequence[Task], error: StatusError) -> bool:
        num_dropped = sum(self._scheduler.remove(queue, part, error) for part in parts)
        return num_dropped > 0


def _disconnected() -> StatusError:
    return StatusError(grpc.StatusCode.CANCELLED, "The caller went away while its request waited.")


def _remaining_s(deadline_s: float | None) -> float | None:
    return None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
