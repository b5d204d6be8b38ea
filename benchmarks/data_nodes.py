"""The benchmark of the data nodes, their throughput and memory, on a set repeated N times.

``python -m benchmarks.data_nodes FOLDER``.

Copy k of the set has users and items of its own (``ID~k``) and the same times. So a log of N times the size
has N times the users, items and baskets. The kernel limits the memory of every process that Beam starts. An
allocation past the limit fails, and the run fails with it.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.dataset import find_manifest
from benchmarks.machine import machine
from dataset.errors import DataError
from dataset.manifest import Manifest
from dataset.tables import expand_paths, read_batches
from pipeline.config import load_config

_POLL_S = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one node.

    Attributes:
        seconds: The wall time.
        cpu_seconds: The processor time of the runner and of all workers.
        runner_gb: The peak resident memory of this process, which holds the runner, in 1e9 bytes.
        worker_gb: The peak resident memory of the largest process that Beam started; 0 if there was none.
    """

    seconds: float
    cpu_seconds: float
    runner_gb: float
    worker_gb: float


def measure(work: Callable[[], None], limit_gb: float) -> Cost:
    """Runs `work` and watches this process and the ones it starts.

    Args:
        work: The function to run.
        limit_gb: The private writable memory (the kernel's ``RLIMIT_DATA``) that each started process may
            have.
    """
    # The kernel keeps the peak of a process's whole life. Writing 5 resets it.
    Path("/proc/self/clear_refs").write_text("5")
    limit = int(limit_gb * 1e9)
    peaks: dict[int, float] = {}
    cpu: dict[int, float] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_S):
            for child in psutil.Process().children(recursive=True):
                try:
                    if child.pid not in peaks:
                        resource.prlimit(child.pid, resource.RLIMIT_DATA, (limit, limit))
                    # The kernel reports no memory for a process that has ended and is not reaped yet.
                    peaks[child.pid] = max(peaks.get(child.pid, 0.0), _peak_gb(child.pid))
                    times = child.cpu_times()
                    cpu[child.pid] = times.user + times.system
                except (psutil.Error, OSError):
                    # The process ended between the listing and the look.
                    continue

    watcher = threading.Thread(target=watch)
    started, cpu_before = time.monotonic(), time.process_time()
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return Cost(
        seconds=time.monotonic() - started,
        cpu_seconds=time.process_time() - cpu_before + sum(cpu.values()),
        runner_gb=_peak_gb(os.getpid()),
        worker_gb=max(peaks.values(), default=0.0),
    )


def _peak_gb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e9
    return 0.0


def repeat(manifest: Manifest, folder: Path, times: int) -> Manifest:
    """Writes a data set `times` over, as Parquet, and returns its manifest.

    Args:
        manifest: A data set with items and events.
        folder: The folder to write. Files that are there count as this set, written by an earlier call.
        times: The number of copies.

    Raises:
        DataError: If there is no table of events.
    """
    if manifest.events is None:
        raise DataError(f"{manifest.name} must have a table of events to be repeated.")
    keys = {"items": ("id",), "users": ("id",), "events": ("user", "item")}
    changed: dict[str, Any] = {}
    for name, id_fields in keys.items():
        table = getattr(manifest, name)
        if table is None:
            continue
        ids = [getattr(table, field) for field in id_fields]
        files = []
        for number, path in enumerate(expand_paths(table.path, manifest.folder)):
            for copy in range(times):
                file = folder / name / f"{number:02d}-{copy:03d}.parquet"
                files.append(str(file))
                if not file.exists():
                    _write(file, _copies(path, table, ids, copy))
        changed[name] = dataclasses.replace(table, path=tuple(files), format="parquet")
    return dataclasses.replace(manifest, folder=str(folder), **changed)


def _copies(path: str, table: Any, ids: list[str], copy: int) -> Iterator[pa.RecordBatch]:
    for _, batch in read_batches(path, columns=table.columns, format=table.format):
        if copy:
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            for name in ids:
                columns[name] = _suffixed(columns[name], f"~{copy}")
            # The texts must differ, because equal texts would be encoded only once.
            for name in getattr(table, "text", ())[:1]:
                columns[name] = _suffixed(columns[name], f" {copy}")
            batch = pa.record_batch(columns)
        yield batch


def _suffixed(column: pa.Array, suffix: str) -> pa.Array:
    return pc.binary_join_element_wise(column.cast(pa.string()), suffix, "")


def _write(file: Path, batches: Iterator[pa.RecordBatch]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    pq.write_table(pa.Table.from_batches(list(batches)), part)
    part.rename(file)


class Nodes:
    """The data nodes' executors, one after another, on a Beam runner.

    Args:
        manifest: The data set.
        args: Beam's flags.
        folder: The folder for the artifacts.
    """

    def __init__(self, manifest: Manifest, args: list[str], folder: Path) -> None:
        from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
        from tfx.types import standard_artifacts

        self._manifest, self._folder, self._examples = manifest, folder, standard_artifacts.Examples
        self._context = BaseBeamExecutor.Context(
            beam_pipeline_args=args, tmp_dir=str(folder / "tmp"), unique_id="1"
        )
        self.tables = [t for t in ("items", "users", "events") if getattr(manifest, t) is not None]

    def example_gen(self, table: str) -> None:
        """Reads a table's files into tf.Examples."""
        from components.table_example_gen.component import TableExampleGen
        from components.table_example_gen.executor import Executor

        component = TableExampleGen(self._manifest, table=table)
        outputs = {"examples": [self._artifact(self._examples, table)]}
        Executor(self._context).Do({}, outputs, component.exec_properties | {"span": 0, "version": None})

    def interaction_builder(self) -> None:
        """Joins the tables that `example_gen` wrote."""
        from tfx.types import standard_artifacts

        from components.artifacts import InteractionSummary
        from components.interaction_builder.executor import Executor

        inputs = {table: [self._split(table)] for table in self.tables}
        outputs = {
            "examples": [self._artifact(self._examples, "interactions")],
            "schema": [self._artifact(standard_artifacts.Schema, "schema")],
            "summary": [self._artifact(InteractionSummary, "summary")],
        }
        Executor(self._context).Do(
            inputs, outputs, {"manifest": self._manifest.to_json(), "max_history": 100}
        )

    def analyse_items(self) -> None:
        """Analyses the items in place of Transform, and writes the result for `transform_applier`."""
        import apache_beam as beam
        import tensorflow as tf
        import tensorflow_transform.beam as tft_beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils
        from tfx_bsl.public.tfxio import TFExampleRecord

        from dataset import features
        from models.config import ModelConfig
        from models.preprocessing import item_settings, preprocess_items

        table = self._manifest.items
        types = dict.fromkeys((features.ITEM_ID, *table.text, *table.categorical), tf.string)
        types |= dict.fromkeys(table.numeric, tf.float32)
        types |= {features.AVAILABLE: tf.int64} if table.availability else {}
        schema = schema_utils.schema_from_feature_spec(
            {name: tf.io.VarLenFeature(kind) for name, kind in types.items()}
        )
        source = TFExampleRecord(str(self._folder / "items" / "Split-all" / "*"), schema=schema)
        settings = item_settings(table, ModelConfig())
        with (
            beam.Pipeline(options=PipelineOptions(self._context.beam_pipeline_args)) as pipeline,
            tft_beam.Context(temp_dir=str(self._folder / "tmp")),
        ):
            rows = pipeline | source.BeamSource()
            graph = (rows, source.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(
                functools.partial(preprocess_items, custom_config=settings)
            )
            _ = graph | tft_beam.WriteTransformFn(str(self._folder / "graph"))
        raw = dataset_metadata.DatasetMetadata(schema)
        metadata_io.write_metadata(raw, str(self._folder / "graph" / "metadata"))

    def transform_applier(self) -> None:
        """Transforms the items with the result of `analyse_items`."""
        from tfx.types import standard_artifacts

        from components.transform_applier import TransformApplier

        graph = self._artifact(standard_artifacts.TransformGraph, "graph")
        transformed = self._artifact(self._examples, "transformed")
        TransformApplier.EXECUTOR_SPEC.executor_class(self._context).Do(
            {"examples": [self._split("items")], "transform_graph": [graph]},
            {"transformed_examples": [transformed]},
            {},
        )

    def text_embedder(self) -> None:
        """Encodes the items that `transform_applier` wrote, or finds their vectors in the cache."""
        from tfx.types import standard_artifacts

        from components.artifacts import TextEmbeddings
        from components.text_embedder.executor import Executor
        from models.pretrained import resolve_encoder

        graph = self._artifact(standard_artifacts.TransformGraph, "graph")
        properties = {
            "encoder": resolve_encoder("minilm"),
            "pooling": "mean",
            "cache_dir": str(self._folder / "cache"),
        }
        Executor(self._context).Do(
            {"examples": [self._split("transformed")], "transform_graph": [graph]},
            {"embeddings": [self._artifact(TextEmbeddings, "embeddings")]},
            properties,
        )

    def _split(self, name: str) -> Any:
        artifact = self._artifact(self._examples, name)
        artifact.split_names = json.dumps(["all"])
        return artifact

    def _artifact(self, kind: Any, name: str) -> Any:
        artifact = kind()
        artifact.uri = str(self._folder / name)
        return artifact


def _print(node: str, rows: int, cost: Cost) -> None:
    per_core = rows / cost.cpu_seconds
    worker = f"{cost.worker_gb:.2f}" if cost.worker_gb else "–"
    print(
        f"| {node} | {rows:,} | {cost.seconds:.0f} | {cost.cpu_seconds:.0f} | {per_core:,.0f} "
        f"| {worker} | {cost.runner_gb:.2f} |",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_nodes", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a data set with events")
    parser.add_argument("--times", type=int, default=1, help="copies of the set")
    parser.add_argument("--limit_gb", type=float, default=3.0, help="memory allowed to a worker process")
    parser.add_argument("--workdir", type=Path, default=Path("runs/benchmarks/data"))
    parser.add_argument(
        "--set", action="append", default=[], metavar="beam.KEY=VALUE", help="as for tandem run"
    )
    options = parser.parse_args(arguments)
    try:
        args = load_config(None, options.set).beam.args()
        manifest = find_manifest(options.folder)
        copies = options.workdir.resolve() / f"{manifest.name}-times{options.times}"
        manifest = repeat(manifest, copies, options.times)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    _run(manifest, args, options)
    return 0


def _run(manifest: Manifest, args: list[str], options: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = options.workdir.resolve() / "artifacts"
    shutil.rmtree(folder, ignore_errors=True)
    nodes = Nodes(manifest, args, folder)
    print(f"{machine()}. Beam: {' '.join(args) or 'the default'}. {manifest.name} × {options.times}.\n")
    print("| node | rows | wall s | CPU s | rows per CPU s | peak GB of a worker | of the runner |")
    print("|---|---|---|---|---|---|---|", flush=True)
    num_rows = {}
    for table in nodes.tables:
        num_rows[table] = sum(pq.read_metadata(path).num_rows for path in getattr(manifest, table).path)
        cost = measure(functools.partial(nodes.example_gen, table), options.limit_gb)
        _print(f"ExampleGen.{table}", num_rows[table], cost)
    _print("InteractionBuilder", num_rows["events"], measure(nodes.interaction_builder, options.limit_gb))
    nodes.analyse_items()
    _print("TransformApplier", num_rows["items"], measure(nodes.transform_applier, options.limit_gb))
    for state in ("all new", "all known"):
        cost = measure(nodes.text_embedder, options.limit_gb)
        _print(f"TextEmbedder, {state}", num_rows["items"], cost)


if __name__ == "__main__":
    sys.exit(main())
