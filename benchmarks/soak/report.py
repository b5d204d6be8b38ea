"""The report of a soak: the rules that must hold, and the table of what happened."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psutil

from benchmarks.soak.load import Failure, Journal

# A client's channel waits at most this long before it tries a server again that was down.
_RECONNECT_S = 3.0
_WARM_UP_SHARE = 0.3
# A leak of versions or of requests would make the memory grow far more than this.
_MAX_GROWTH = 0.10
_MIN_SLOPE_S = 60.0
_NUM_SHOWN = 5


class Lives:
    """The lives of the server's processes, one after the other, and their memory."""

    def __init__(self) -> None:
        self.killed: list[float] = []
        self.ready: list[float] = []
        self.rss_mb: list[list[tuple[float, float]]] = []
        self.crashes = 0
        self._process: psutil.Process | None = None

    def begin(self, pid: int) -> None:
        """Records that a process is ready."""
        self.ready.append(time.monotonic())
        self.rss_mb.append([])
        self._process = psutil.Process(pid)

    def end(self) -> None:
        """Records that the process is about to be killed, or told to stop."""
        self._process = None
        self.killed.append(time.monotonic())

    def sample(self) -> None:
        """Records the memory of the process."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            # A process that has ended before anybody waited for it is a zombie, and its memory reads as zero.
            if process.status() != psutil.STATUS_ZOMBIE:
                self.rss_mb[-1].append((time.monotonic(), process.memory_info().rss / 1e6))
                return
        # The process is gone. It was killed if `end` was called meanwhile; otherwise it crashed, once.
        if self._process is process:
            self.crashes += 1
            self._process = None

    def was_down(self, failure: Failure) -> bool:
        """Whether a request fell into the time from a kill until clients could connect again."""
        return any(
            failure.ended >= killed and failure.sent <= ready + _RECONNECT_S
            for killed, ready in zip(self.killed, self.ready[1:], strict=True)
        )

    def was_in_flight(self, failure: Failure) -> bool:
        """Whether a request was under way when the server was killed."""
        return any(failure.sent <= killed <= failure.ended for killed in self.killed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The report of one soak.

    Attributes:
        seconds: The seconds that the load lasted.
        journal: The record of its threads.
        lives: The server's processes.
        pushed: The good versions, with the time of each.
        answered: The number of answers by version.
        last_version: The newest good version.
        num_connected: The number of idle connections whose client was answered.
        num_connections: The number of idle connections that were wanted.
        num_fuzzed: The number of requests that make no sense that were wanted.
        last_words: The last lines that the last process wrote.
    """

    seconds: float
    journal: Journal
    lives: Lives
    pushed: Mapping[int, float]
    answered: Mapping[int, int]
    last_version: int
    num_connected: int
    num_connections: int
    num_fuzzed: int
    last_words: str

    def problems(self) -> list[str]:
        """The rules that did not hold, in words."""
        lost = [failure for failure in self.journal.failures if not self.lives.was_down(failure)]
        problems = [f"wrong: {text}" for text in self.journal.wrong[:_NUM_SHOWN]]
        problems += [f"lost: {failure.kind}: {failure.error}" for failure in lost[:_NUM_SHOWN]]
        if self.lives.crashes:
            problems.append(f"the server ended by itself; its last words: {self.last_words}")
        if not self.answered.get(self.last_version):
            problems.append(f"the last version, {self.last_version}, never answered")
        if self.num_connected < self.num_connections:
            problems.append(f"of {self.num_connections} connections only {self.num_connected} were answered")
        if sum(self.journal.refusals.values()) < self.num_fuzzed:
            problems.append(f"fewer than {self.num_fuzzed} senseless requests were answered")
        growth = self.growth()
        if growth is not None and growth > _MAX_GROWTH:
            problems.append(f"memory grew by {growth:.0%}, which is more than {_MAX_GROWTH:.0%}")
        return problems

    def growth(self) -> float | None:
        """The share by which the last process's memory grew after warm-up; ``None`` in a short run."""
        samples = self.lives.rss_mb[-1]
        if not samples or samples[-1][0] - samples[0][0] < _MIN_SLOPE_S:
            return None
        settled = [mb for _, mb in samples[int(_WARM_UP_SHARE * len(samples)) :]]
        third = max(len(settled) // 3, 1)
        # Versions come and go, so this compares medians over many swaps and not single points.
        return float(np.median(settled[-third:]) / np.median(settled[:third]) - 1.0)

    def markdown(self) -> str:
        """The table for the documentation."""
        journal, lives = self.journal, self.lives
        in_flight = sum(lives.was_in_flight(failure) for failure in journal.failures)
        down = sum(lives.was_down(failure) for failure in journal.failures) - in_flight
        lost = len(journal.failures) - in_flight - down
        swapped = sum(version in self.pushed for version in self.answered)
        rows: list[tuple[str, Any]] = [
            ("load", f"{self.seconds / 60:.1f} minutes"),
            ("right answers", _counts(journal.answers, _ASKED)),
            ("latency p50 / p99, ms", _latencies(journal.latencies_ms)),
            ("wrong answers", len(journal.wrong)),
            ("lost requests", lost),
            ("… in flight when the server was killed", in_flight),
            ("… sent while it was down", down),
            ("good versions pushed, and that answered", f"{len(self.pushed)}, {swapped}"),
            ("time from kill to ready", ", ".join(f"{seconds:.1f} s" for seconds in self._downtimes())),
            ("requests that make no sense, by code", _counts(journal.refusals)),
            ("clients that went away", _counts(journal.answers, ("cancelled", "hung up"))),
            ("idle connections held", self.num_connected),
            ("memory of each process, MB: first, median, most, last", "; ".join(self._memory())),
        ]
        growth = self.growth()
        if growth is not None:
            rows.append(("growth after warm-up", f"{growth:+.1%}"))
        lines = [("what", "result"), ("---", "---"), *rows]
        return "\n".join(f"| {name} | {value} |" for name, value in lines)

    def _downtimes(self) -> list[float]:
        pairs = zip(self.lives.killed, self.lives.ready[1:], strict=True)
        return [ready - killed for killed, ready in pairs]

    def _memory(self) -> list[str]:
        shown = []
        for samples in self.lives.rss_mb:
            mb = [value for _, value in samples] or [float("nan")]
            shown.append(f"{mb[0]:.0f}, {np.median(mb):.0f}, {max(mb):.0f}, {mb[-1]:.0f}")
        return shown


_ASKED = ("search", "recommend", "similar", "rank", "REST", "status")


def _counts(counter: Mapping[str, int], names: Sequence[str] | None = None) -> str:
    chosen = sorted(counter) if names is None else names
    return ", ".join(f"{name} {counter.get(name, 0):,}" for name in chosen)


def _latencies(latencies_ms: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(
        f"{name} {np.percentile(latencies_ms[name], 50):.0f} / {np.percentile(latencies_ms[name], 99):.0f}"
        for name in _ASKED
        if latencies_ms.get(name)
    )
