"""The executor that reads a table in Arrow batches and writes its usable rows as tf.Examples."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from google.protobuf import any_pb2, json_format, wrappers_pb2
from tfx.components.example_gen import utils
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.components.example_gen.write_split import DEFAULT_TF_RECORD_FILE_NAME, to_file_format_str
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.records import WriteRecords, clear
from dataset import features
from dataset.columns import normalised_batches, read_queries
from dataset.manifest import Manifest
from dataset.spans import files_read, spans_read


class Executor(BaseExampleGenExecutor):
    """One Beam element a file, one Arrow batch after another inside it; no worker holds more than a batch."""

    def GetInputSourceToExamplePTransform(self) -> Any:
        """Returns the transform from the files to their rows."""
        return _ReadTable

    def GenerateExamplesByBeam(self, pipeline: Any, exec_properties: dict[str, Any]) -> dict[str, Any]:
        """Returns the one split, with the rows of all files in batches."""
        manifest, table = _dataset(exec_properties)
        rows = pipeline | _ReadTable(manifest.to_json(), table, _span(exec_properties))
        return {features.ALL: rows}

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:
        """Writes the examples.

        TFX's own names the output's splits after the input's, and a table of several files has several; and
        it shuffles single rows, which nothing here needs and which is most of its cost.
        """
        artifact = artifact_utils.get_single_instance(output_dict["examples"])
        artifact.split_names = artifact_utils.encode_split_names([features.ALL])
        span = _span(exec_properties)
        # TFX's components that follow look at the first, ours at the second, which its driver sets too.
        artifact.span = span
        artifact.set_int_custom_property(utils.SPAN_PROPERTY_NAME, span)
        folder = artifact_utils.get_split_uri([artifact], features.ALL)
        clear(folder)
        with self._make_beam_pipeline() as pipeline:
            rows = self.GenerateExamplesByBeam(pipeline, exec_properties)[features.ALL]
            _ = rows | "Write" >> WriteRecords(os.path.join(folder, DEFAULT_TF_RECORD_FILE_NAME))
        examples_utils.set_payload_format(artifact, exec_properties["output_data_format"])
        examples_utils.set_file_format(artifact, to_file_format_str(exec_properties["output_file_format"]))


def _dataset(exec_properties: dict[str, Any]) -> tuple[Manifest, str]:
    """The dataset where it is now, and the table."""
    manifest, table = settings_of(exec_properties)
    return dataclasses.replace(manifest, folder=exec_properties["input_base"]), table


def _span(exec_properties: dict[str, Any]) -> int:
    """What the driver resolved; open-source Kubeflow runs no driver, and there it is the latest."""
    span: int | None = exec_properties.get(utils.SPAN_PROPERTY_NAME)
    return max(spans_read(*_dataset(exec_properties))) if span is None else span


def settings_of(exec_properties: dict[str, Any]) -> tuple[Manifest, str]:
    """The dataset and the table, from the parameters of TableExampleGen."""
    custom = json_format.Parse(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
    settings = json.loads(_unpack(custom.custom_config))
    return Manifest.from_json(settings["manifest"]), settings["table"]


def _unpack(value: any_pb2.Any) -> str:
    text = wrappers_pb2.StringValue()
    value.Unpack(text)
    return text.value


class _ReadTable(beam.PTransform):
    def __init__(self, manifest_json: str, table: str, span: int) -> None:
        super().__init__()
        self._manifest_json, self._table, self._span = manifest_json, table, span

    def expand(self, pipeline: Any) -> Any:
        manifest = Manifest.from_json(self._manifest_json)
        files = files_read(manifest, self._table, last=self._span)
        return (
            pipeline
            | "Files" >> beam.Create(files)
            | "Spread" >> beam.Reshuffle()
            | "Batches" >> beam.FlatMap(read_examples, self._manifest_json, self._table)
        )


def read_examples(file: str, manifest_json: str, table: str) -> Iterator[list[bytes]]:
    """Yields, batch by batch, the serialised tf.Example of each row of a file that can be used."""
    manifest = Manifest.from_json(manifest_json)
    queries = read_queries(manifest)[0] if table == "judgments" else None
    encoder = RecordBatchToExamplesEncoder()
    for _, normal in normalised_batches(manifest, table, [file], queries):
        yield encoder.encode(as_lists(normal.batch))


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Wraps each value in a list of one, and each null in an empty list, as tf.Example encoders want.

    Columns of lists stay lists.
    """
    columns = []
    for column in batch.columns:
        is_many = pa.types.is_list(column.type)
        lengths = column.value_lengths() if is_many else column.is_valid()
        lengths = lengths.to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        values = column.flatten() if is_many else column.drop_null()
        # The encoder knows bytes, and not Arrow's strings, which are bytes too.
        values = values.cast(pa.binary()) if pa.types.is_string(values.type) else values
        columns.append(pa.ListArray.from_arrays(offsets, values))
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
