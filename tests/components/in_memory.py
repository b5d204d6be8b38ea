"""Runs the executors of components on small data, with Beam in this process and without a metadata store."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import InteractionSummary
from components.interaction_builder.executor import Executor as InteractionExecutor
from components.table_example_gen.component import TableExampleGen
from components.table_example_gen.executor import Executor as TableExecutor
from components.table_example_gen.executor import read_examples
from dataset import features
from dataset.manifest import Manifest
from dataset.tables import expand_paths
from pipeline.beam import BeamConfig

_IN_PROCESS = BeamConfig()

Row = dict[str, list[Any]]


def context(folder: Path, beam: BeamConfig = _IN_PROCESS) -> BaseBeamExecutor.Context:
    """What an executor is given by the orchestrator, with the pipeline's own Beam flags."""
    return BaseBeamExecutor.Context(
        beam_pipeline_args=beam.args(), tmp_dir=str(folder / "tmp"), unique_id="1"
    )


def artifact(kind: Any, uri: Path, splits: list[str] | None = None) -> Any:
    """An artifact of a type at a place."""
    made = kind()
    made.uri = str(uri)
    if splits is not None:
        made.split_names = artifact_utils.encode_split_names(splits)
    return made


def read_table(manifest: Manifest, table: str, folder: Path, beam: BeamConfig = _IN_PROCESS) -> Any:
    """A table as TableExampleGen writes it."""
    component = TableExampleGen(manifest, table=table)
    examples = artifact(standard_artifacts.Examples, folder / table)
    properties = component.exec_properties | {"span": 0, "version": None}
    TableExecutor(context(folder, beam)).Do({}, {"examples": [examples]}, properties)
    return examples


def write_tables(manifest: Manifest, folder: Path) -> dict[str, Any]:
    """All tables of a dataset by name, each read as TableExampleGen does, without Beam."""
    tables = {}
    for table in ("items", "users", "events", "judgments"):
        described = getattr(manifest, table)
        if described is not None:
            files = expand_paths(described.path, manifest.folder)
            batches = (batch for file in files for batch in read_examples(file, manifest.to_json(), table))
            rows = itertools.chain.from_iterable(batches)
            tables[table] = artifact(standard_artifacts.Examples, folder / table, [features.ALL])
            write_records(folder / table, rows)
    return tables


def write_records(folder: Path, examples: Iterable[bytes], split: str = features.ALL) -> None:
    """Writes serialised examples as the one file of a split."""
    path = folder / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for example in examples:
            writer.write(example)


def build_interactions(
    manifest: Manifest, folder: Path, *, max_history: int = 100, beam: BeamConfig = _IN_PROCESS
) -> Path:
    """Runs InteractionBuilder; its outputs lie in folders named after them."""
    tables = write_tables(manifest, folder)
    outputs = {
        "examples": [artifact(standard_artifacts.Examples, folder / "examples")],
        "schema": [artifact(standard_artifacts.Schema, folder / "schema")],
        "summary": [artifact(InteractionSummary, folder / "summary")],
    }
    properties = {"manifest": manifest.to_json(), "max_history": max_history}
    inputs = {name: [examples] for name, examples in tables.items()}
    InteractionExecutor(context(folder, beam)).Do(inputs, outputs, properties)
    return folder


def records(folder: Path, split: str = features.ALL) -> list[bytes]:
    """The serialised examples of a split, in byte order, as Beam promises no other."""
    files = sorted(str(path) for path in (folder / f"Split-{split}").iterdir())
    return sorted(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())


def rows(folder: Path, split: str = features.ALL) -> list[Row]:
    """The examples of a split as lists of values by feature, in the order of `records`."""
    return [_row(record) for record in records(folder, split)]


def _row(record: bytes) -> Row:
    found = tf.train.Example.FromString(record).features.feature
    return {
        name: list(getattr(value, value.WhichOneof("kind") or "int64_list").value)
        for name, value in found.items()
    }
