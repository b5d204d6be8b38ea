"""The runner of the nodes, one after another, which watches time, memory and progress."""

from __future__ import annotations

import datetime
import json
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from tfx import v1 as tfx
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2

from pipeline.report.report import NodeCost

_SAMPLE_S = 0.2
_CACHED_S = 1.5


class NodeMonitor:
    """Prints a line a node, and notes what each took.

    Args:
        num_nodes: Nodes of the pipeline.
        previous: File with the durations of the last run, for the estimate; written when the run ends.
    """

    def __init__(self, *, num_nodes: int, previous: Path) -> None:
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


class WatchedLauncher(launcher.Launcher):
    """Tells the monitor: TFX's runner has no hooks, and its log can be switched off by what it runs.

    Args:
        monitor: Told when the node begins, runs and ends.
        **settings: Of TFX's own launcher.
    """

    def __init__(self, *, monitor: NodeMonitor, **settings: Any) -> None:
        super().__init__(**settings)
        self._monitor = monitor
        # What runs the node has been made by now, and the specification only goes into the node's cache key.
        # Without Beam's flags there: where its stages run is no reason to run them again.
        specification = settings["executor_spec"]
        if isinstance(specification, executable_spec_pb2.BeamExecutableSpec):
            program = specification.python_executor_spec
            self._executor_spec = executable_spec_pb2.BeamExecutableSpec(python_executor_spec=program)

    def launch(self) -> Any:
        """Runs the node."""
        self._monitor.begin(self._pipeline_node.node_info.id)
        # A resolver has no executor, and its work is never cached.
        if self._system_node_handler:
            self._monitor.note_executor()
        result = super().launch()
        self._monitor.end()
        return result

    def _run_executor(self, execution_info: Any) -> Any:
        self._monitor.note_executor()
        return super()._run_executor(execution_info)


class _WatchedRunner(tfx.orchestration.LocalDagRunner):
    """TFX's local runner, which takes no launcher from outside, with ours."""

    def __init__(self, monitor: NodeMonitor) -> None:
        super().__init__()
        self._monitor = monitor

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options: Any = None) -> None:
        """Runs the nodes in their order."""
        run_id = datetime.datetime.now().isoformat()
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = deployment.metadata_connection_config
        database = getattr(connection, connection.WhichOneof("connection_config"))
        for node in pipeline.nodes:
            node_id = node.pipeline_node.node_info.id
            WatchedLauncher(
                monitor=self._monitor,
                pipeline_node=node.pipeline_node,
                mlmd_connection=metadata.Metadata(database),
                pipeline_info=pipeline.pipeline_info,
                pipeline_runtime_spec=pipeline.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
            ).launch()


def run_nodes(pipeline: tfx.dsl.Pipeline, monitor: NodeMonitor) -> None:
    """Runs a pipeline; a node that fails ends the run, and the next run resumes at it."""
    with monitor:
        try:
            _WatchedRunner(monitor).run(pipeline)
        except BaseException:
            # Ends the progress line, so that the error, or an interrupt, begins on its own.
            print(flush=True)
            raise
