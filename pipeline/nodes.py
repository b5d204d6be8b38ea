"""Runs the nodes one after another with TFX's local runner, and watches time, memory and progress."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
from tfx import v1 as tfx
from tfx.orchestration.local import local_dag_runner
from tfx.orchestration.portable import launcher

from pipeline.report.report import NodeCost

_SAMPLE_S = 0.2
_CACHED_S = 1.5


class NodeMonitor:
    """Prints a line a node, and notes what each took.

    Args:
        num_nodes: Nodes of the pipeline.
        previous: File with the durations of the last run, for the estimate; written when the run ends.
    """

    def __init__(self, *, num_nodes: int, previous: Path):
        self.costs: list[NodeCost] = []
        self._num_nodes, self._previous = num_nodes, previous
        try:
            self._expected: dict[str, float] = json.loads(previous.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            self._expected = {}
        self._peak_bytes = 0
        self._node, self._started, self._has_run = "", 0.0, False
        self._stop = threading.Event()
        self._process = psutil.Process()

    def __enter__(self) -> NodeMonitor:
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._sampler.join()
        known = {cost.node: cost.wall_time_s for cost in self.costs if not cost.is_cached}
        self._previous.write_text(json.dumps(self._expected | known))

    def begin(self, node: str) -> None:
        """A node begins."""
        self._node, self._started, self._has_run = node, time.monotonic(), False
        self._peak_bytes = self._resident_bytes()
        expected = self._expected.get(node)
        estimate = f" about {expected:.0f} s" if expected and expected > _CACHED_S else ""
        print(f"[{len(self.costs) + 1:2}/{self._num_nodes}] {node} …{estimate}", end="", flush=True)

    def note_executor(self) -> None:
        """The node under way is not taken from the last run: its executor runs."""
        self._has_run = True

    def end(self) -> None:
        """The node under way is done."""
        seconds = time.monotonic() - self._started
        self.costs.append(
            NodeCost(
                node=self._node,
                wall_time_s=round(seconds, 2),
                peak_memory_mb=round(self._peak_bytes / 1e6),
                is_cached=not self._has_run,
            )
        )
        took = "unchanged since the last run" if not self._has_run else f"{seconds:.1f} s"
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

    class WatchedLauncher(launcher.Launcher):
        """Tells the monitor: TFX's runner has no hooks, and its log can be switched off by what it runs."""

        def launch(self) -> Any:
            monitor.begin(self._pipeline_node.node_info.id)
            # A resolver has no executor, and its work is never cached.
            if self._system_node_handler:
                monitor.note_executor()
            result = super().launch()
            monitor.end()
            return result

        def _run_executor(self, execution_info: Any) -> Any:
            monitor.note_executor()
            return super()._run_executor(execution_info)

    with monitor, mock.patch.object(local_dag_runner.launcher, "Launcher", WatchedLauncher):
        try:
            tfx.orchestration.LocalDagRunner().run(pipeline)
        except BaseException:
            # Ends the progress line, so that the error begins on its own.
            print(flush=True)
            raise
