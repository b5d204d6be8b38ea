"""The soak, ten minutes under load and fault: ``python -m benchmarks.soak MODEL_DIR``.

Clients of every kind ask the embedded server. Meanwhile new versions are pushed, a broken and a half-copied
one among them; the server is killed and started again; clients hang up; senseless requests and a thousand
connections arrive. Every answer is compared with that of its version, which this process computes. At the end
the soak checks what must hold. It prints every failure, and then the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

from benchmarks.machine import machine
from benchmarks.serving.load import make_asks
from benchmarks.soak.answers import Question, expected_answers, make_questions, write_variants
from benchmarks.soak.faults import (
    next_version,
    open_connections,
    prune,
    push_broken,
    push_half,
    push_rest,
    send_oversized,
)
from benchmarks.soak.load import Journal, Load, Versions
from benchmarks.soak.report import Lives, Report
from dataset.errors import DataError
from serving.launcher import BATCHING_PARAMETERS
from serving.process import ServerProcess
from serving.pushed_model import newest_version_dir

NUM_VARIANTS = 3
_PUSH_EVERY_S = 20.0
_FUZZED_PER_S = 20.0
_NUM_CONNECTIONS = 1000
_NUM_ASKS = 16
_NUM_KEPT = 3
_HALF_COPIED_S = 3.0
_SAMPLE_S = 0.5
_LAST_VERSION_S = 120.0
_FILES_PER_CONNECTION = 8


class Soak:
    """One run of the soak.

    Args:
        variants: Models whose answers differ, which are pushed in turn.
        questions: The questions that are asked.
        base: An empty folder, which the server will watch.
        seconds: The seconds that the load lasts.
        push_every_s: The seconds from one version to the next.
        num_fuzzed: The number of requests that make no sense.
        num_connections: The number of idle connections that are held open.
    """

    def __init__(
        self,
        variants: Sequence[Path],
        questions: Sequence[Question],
        *,
        base: Path,
        seconds: float,
        push_every_s: float = _PUSH_EVERY_S,
        num_fuzzed: int,
        num_connections: int = _NUM_CONNECTIONS,
    ) -> None:
        self._variants, self._questions, self._base = variants, questions, base
        self._seconds, self._push_every_s, self._num_fuzzed = seconds, push_every_s, num_fuzzed
        self._num_connections = num_connections
        self._ports = _free_ports(2)
        self._versions = Versions([expected_answers(variant, questions) for variant in variants])
        self._journal, self._lives = Journal(), Lives()
        self._pushed: dict[int, float] = {}
        self._num_connected = 0

    def run(self) -> Report:
        """Runs the soak and returns its report."""
        # TFX takes seconds to import, and the versions must not wait for it.
        from components.pusher import push_version

        self._push_version = push_version
        _allow_files(_FILES_PER_CONNECTION * self._num_connections)
        self._push()
        self._start_server()
        load = Load(
            address=self._address,
            rest_port=self._ports[1],
            questions=self._questions,
            versions=self._versions,
            journal=self._journal,
            num_fuzzed=self._num_fuzzed,
            seconds=self._seconds,
        )
        sampling = threading.Thread(target=self._sample, daemon=True)
        self._ended = threading.Event()
        try:
            with contextlib.ExitStack() as self._connections:
                load.start()
                sampling.start()
                self._follow(self._plan())
                self._wait_for_last_version()
                load.stop()
        finally:
            self._ended.set()
            self._server.__exit__(None, None, None)
        return Report(
            seconds=self._seconds,
            journal=self._journal,
            lives=self._lives,
            pushed=dict(self._pushed),
            answered=dict(self._versions.answered),
            last_version=max(self._pushed),
            num_connected=self._num_connected,
            num_connections=self._num_connections,
            num_fuzzed=self._num_fuzzed,
            last_words=self._server.last_words(),
        )

    @property
    def _address(self) -> str:
        return f"localhost:{self._ports[0]}"

    def _plan(self) -> list[tuple[float, Callable[[], None]]]:
        """The events of the run, each with its time in seconds from the start."""
        total, every = self._seconds, self._push_every_s
        half = 0.35 * total
        pushes = [every * i for i in range(1, int(total / every))]
        return sorted(
            [
                *((when, self._push) for when in pushes),
                # The kill is early, so that one process is watched for most of the time.
                (0.1 * total, self._kill),
                (0.15 * total, self._connect),
                (0.2 * total, self._send_oversized),
                (0.25 * total + every / 2, self._push_broken),
                (half + every / 2, self._push_half),
                (half + every / 2 + min(_HALF_COPIED_S, every / 3), self._push_rest),
                (0.75 * total, self._send_oversized),
            ],
            key=lambda event: event[0],
        )

    def _follow(self, plan: Sequence[tuple[float, Callable[[], None]]]) -> None:
        started = time.monotonic()
        for when, event in plan:
            time.sleep(max(started + when - time.monotonic(), 0.0))
            event()
        time.sleep(max(started + self._seconds - time.monotonic(), 0.0))

    def _push(self) -> None:
        variant = len(self._pushed) % len(self._variants)
        version = int(Path(self._push_version(str(self._variants[variant]), str(self._base))).name)
        self._versions.add(version, variant)
        self._pushed[version] = time.monotonic()
        prune(self._base, _NUM_KEPT)

    def _push_broken(self) -> None:
        push_broken(self._variants[0], self._base)

    def _push_half(self) -> None:
        self._half = next_version(self._base)
        self._versions.add(self._half, 0)
        push_half(self._variants[0], self._base, self._half)

    def _push_rest(self) -> None:
        # A version pushed meanwhile may have led to the deletion of this one, as the oldest.
        if (self._base / str(self._half)).exists():
            push_rest(self._variants[0], self._base, self._half)

    def _connect(self) -> None:
        self._num_connected = self._connections.enter_context(
            open_connections(self._address, self._num_connections)
        )

    def _send_oversized(self) -> None:
        send_oversized(self._address, self._ports[1], self._questions[0].call.request, self._journal)

    def _kill(self) -> None:
        self._lives.end()
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.__exit__(None, None, None)
        self._start_server()

    def _start_server(self) -> None:
        self._server = ServerProcess(
            self._base,
            port=self._ports[0],
            flags=[
                f"--rest_api_port={self._ports[1]}",
                "--enable_batching=true",
                f"--batching_parameters_file={BATCHING_PARAMETERS}",
            ],
        )
        self._server.__enter__()
        self._lives.begin(self._server.pid)

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            self._lives.sample()

    def _wait_for_last_version(self) -> None:
        deadline = time.monotonic() + _LAST_VERSION_S
        while not self._versions.answered[max(self._pushed)] and time.monotonic() < deadline:
            time.sleep(_SAMPLE_S)


def _allow_files(count: int) -> None:
    """Raises the limit of open files if the system allows it; the server inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("localhost", 0))
        return [probe.getsockname()[1] for probe in probes]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("model_dir", type=Path, help="a pushed model: runs/NAME/serving/tandem")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: 600)")
    options = parser.parse_args(arguments)
    try:
        version_dir = newest_version_dir(options.model_dir)
        with tempfile.TemporaryDirectory(prefix="tandem-soak-") as folder:
            variants = write_variants(version_dir, Path(folder), NUM_VARIANTS)
            base = Path(folder) / "tandem"
            base.mkdir()
            soak = Soak(
                variants,
                make_questions(make_asks(version_dir)[:_NUM_ASKS]),
                base=base,
                seconds=options.seconds,
                # In a short run the versions and the senseless requests follow each other faster.
                push_every_s=min(_PUSH_EVERY_S, options.seconds / 8),
                num_fuzzed=int(_FUZZED_PER_S * options.seconds),
            )
            report = soak.run()
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{machine()}; `python -m benchmarks.soak {' '.join(arguments or sys.argv[1:])}`\n")
    print(report.markdown())
    problems = report.problems()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
