"""Runs the nodes one after another with TFX's local runner, and watches time, memory and progress."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import psutil
from tfx import v1 as tfx

from pipeline.report.data import NodeCost

_SAMPLE_S = 0.2
_CACHED_S = 1.5


class NodeMonitor(logging.Handler):
    """Prints a line a node, and notes what each took.

    TFX's runner has no hooks; it logs when a node begins and ends, and this handler listens.

    Args:
        num_nodes: Nodes of the pipeline.
        previous: File with the durations of the last run, for the estimate; written when the run ends.
    """

    def __init__(self, *, num_nodes: int, previous: Path):
        super().__init__(level=logging.INFO)
        self.costs: list[NodeCost] = []
        self._num_nodes, self._previous = num_nodes, previous
        try:
            self._expected: dict[str, float] = json.loads(previous.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            self._expected = {}
        self._peak_bytes = 0
        self._node, self._started, self._is_cached = "", 0.0, False
        self._stop = threading.Event()
        self._process = psutil.Process()

    def __enter__(self) -> NodeMonitor:
        logging.getLogger().addHandler(self)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._sampler.join()
        logging.getLogger().removeHandler(self)
        known = {cost.node: cost.wall_time_s for cost in self.costs if not cost.is_cached}
        self._previous.write_text(json.dumps(self._expected | known))

    def emit(self, record: logging.LogRecord) -> None:
        """Takes the runner's two messages and the launcher's about its cache; passes over all others."""
        if record.msg == "Component %s is running." and isinstance(record.args, tuple):
            self._begin(str(record.args[0]))
        elif record.msg == "Component %s is finished.":
            self._end()
        elif record.msg == "A cached execution %d is used.":
            self._is_cached = True

    def _begin(self, node: str) -> None:
        self._node, self._started, self._is_cached = node, time.monotonic(), False
        self._peak_bytes = self._resident_bytes()
        expected = self._expected.get(node)
        estimate = f" about {expected:.0f} s" if expected and expected > _CACHED_S else ""
        print(f"[{len(self.costs) + 1:2}/{self._num_nodes}] {node} …{estimate}", end="", flush=True)

    def _end(self) -> None:
        seconds = time.monotonic() - self._started
        self.costs.append(
            NodeCost(
                node=self._node,
                wall_time_s=round(seconds, 2),
                peak_memory_mb=round(self._peak_bytes / 1e6),
                is_cached=self._is_cached,
            )
        )
        took = "unchanged since the last run" if self._is_cached else f"{seconds:.1f} s"
        print(f"\r[{len(self.costs):2}/{self._num_nodes}] {self._node:32} {took:30}", flush=True)

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            self._peak_bytes = max(self._peak_bytes, self._resident_bytes())

    def _resident_bytes(self) -> int:
        total = self._process.memory_info().rss
        for child in self._process.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return int(total)


def run_nodes(pipeline: tfx.dsl.Pipeline, monitor: NodeMonitor) -> None:
    """Runs a pipeline; a node that fails ends the run, and the next run resumes at it."""
    with monitor:
        try:
            tfx.orchestration.LocalDagRunner().run(pipeline)
        except BaseException:
            # Ends the progress line, so that the error begins on its own.
            print(flush=True)
            raise
