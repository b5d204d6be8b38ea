"""Reads a table's files in Arrow batches and writes the rows that can be used as tf.Examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from google.protobuf import any_pb2, json_format, wrappers_pb2
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.components.example_gen.write_split import WriteSplit, to_file_format_str
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from pipeline import features
from pipeline.check import normalised_batches
from pipeline.columns import read_queries
from pipeline.manifest import Manifest
from pipeline.tables import expand_paths


class Executor(BaseExampleGenExecutor):
    """One Beam element a file, one Arrow batch after another inside it."""

    def GetInputSourceToExamplePTransform(self) -> Any:  # noqa: N802 (TFX's name)
        """Returns the transform from a file to its rows."""
        return _ReadTable

    def GenerateExamplesByBeam(self, pipeline: Any, exec_properties: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Returns the one split, with the rows of all files."""
        custom = json_format.Parse(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
        settings = json.loads(_unpack(custom.custom_config))
        rows = pipeline | _ReadTable(settings["manifest"], settings["table"])
        return {features.ALL: rows}

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Writes the examples.

        TFX's own names the output's splits after the input's, and a table of several files has several.
        """
        artifact = artifact_utils.get_single_instance(output_dict["examples"])
        artifact.split_names = artifact_utils.encode_split_names([features.ALL])
        folder = artifact_utils.get_split_uri([artifact], features.ALL)
        with self._make_beam_pipeline() as pipeline:
            rows = self.GenerateExamplesByBeam(pipeline, exec_properties)[features.ALL]
            _ = rows | "Write" >> WriteSplit(folder, exec_properties["output_file_format"], exec_properties)
        examples_utils.set_payload_format(artifact, exec_properties["output_data_format"])
        examples_utils.set_file_format(artifact, to_file_format_str(exec_properties["output_file_format"]))


def _unpack(value: any_pb2.Any) -> str:
    text = wrappers_pb2.StringValue()
    value.Unpack(text)
    return text.value


class _ReadTable(beam.PTransform):
    def __init__(self, manifest_json: str, table: str):
        super().__init__()
        self._manifest_json, self._table = manifest_json, table

    def expand(self, pipeline: Any) -> Any:
        manifest = Manifest.from_json(self._manifest_json)
        files = expand_paths(getattr(manifest, self._table).path, manifest.folder)
        return (
            pipeline
            | "Files" >> beam.Create(files)
            | "Spread" >> beam.Reshuffle()
            | "Rows" >> beam.FlatMap(read_examples, self._manifest_json, self._table)
        )


def read_examples(file: str, manifest_json: str, table: str) -> Iterator[bytes]:
    """Yields the serialised tf.Example of each row of a file that can be used."""
    manifest = Manifest.from_json(manifest_json)
    queries = read_queries(manifest)[0] if table == "judgments" else None
    encoder = RecordBatchToExamplesEncoder()
    for _, normal in normalised_batches(manifest, table, [file], queries):
        yield from encoder.encode(as_lists(normal.batch))


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Wraps each value in a list of one, and each null in an empty list, as tf.Example encoders want."""
    columns = []
    for column in batch.columns:
        lengths = column.is_valid().to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        values = column.drop_null()
        # The encoder knows bytes, and not Arrow's strings, which are bytes too.
        values = values.cast(pa.binary()) if pa.types.is_string(values.type) else values
        columns.append(pa.ListArray.from_arrays(offsets, values))
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
