"""The executor of the join on Beam. A worker holds only the set of item ids whole."""

from __future__ import annotations

import json
import os
from typing import Any

import apache_beam as beam
import numpy as np
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.interaction_builder import stages
from components.interaction_builder.judged import JudgedQueries
from components.records import WriteRecords, clear
from dataset import features
from dataset.findings import Findings
from dataset.frames import BYTES, FLOAT
from dataset.interaction import INTERACTION
from dataset.manifest import Manifest
from dataset.splits import event_starts
from models.interaction_summary import Summary


class Executor(BaseBeamExecutor):
    """Unwraps artifacts; `stages` holds the work."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:
        """Writes the interactions, their schema and the summary.

        Raises:
            DataError: More events than the manifest allows name no item.
        """
        manifest = Manifest.from_json(exec_properties["manifest"])
        patterns = {
            table: os.path.join(artifact_utils.get_split_uri(artifacts, features.ALL), "*")
            for table, artifacts in input_dict.items()
            if artifacts
        }
        splits = (features.EVENT_SPLITS if manifest.events else ()) + (
            features.JUDGMENT_SPLITS if manifest.judgments else ()
        )
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        examples.split_names = artifact_utils.encode_split_names(list(splits))
        summary_uri = artifact_utils.get_single_uri(output_dict["summary"])
        for folder in (summary_uri, *(artifact_utils.get_split_uri([examples], split) for split in splits)):
            clear(folder)

        starts = self._starts(manifest, patterns["events"], summary_uri) if manifest.events else (0, 0)
        with self._make_beam_pipeline() as pipeline:
            item_rows = beam.pvalue.AsSingleton(pipeline | stages.ItemRows(patterns["items"]))
            outputs: dict[str, Any] = {}
            if manifest.events is not None:
                outputs |= pipeline | stages.EventContexts(
                    manifest.events,
                    manifest.users,
                    patterns,
                    item_rows,
                    starts,
                    exec_properties["max_history"],
                    summary_uri,
                )
            if manifest.judgments is not None:
                outputs |= pipeline | JudgedQueries(manifest, patterns["judgments"], item_rows, summary_uri)
            for split in splits:
                prefix = os.path.join(artifact_utils.get_split_uri([examples], split), "data_tfrecord")
                _ = outputs[split] | f"Write[{split}]" >> WriteRecords(prefix)

        schema_uri = artifact_utils.get_single_uri(output_dict["schema"])
        schema = text_format.MessageToString(interaction_schema(manifest))
        io_utils.write_string_file(os.path.join(schema_uri, "schema.pbtxt"), schema)
        _summarise(manifest, summary_uri, starts)

    def _starts(self, manifest: Manifest, pattern: str, folder: str) -> tuple[int, int]:
        if isinstance(manifest.split.events.validation, str):
            return event_starts(manifest.split.events, 0, 0)
        # Shares of the time the log covers need its ends first. The temporary folder would not do: on a
        # cluster it is a disk of this machine, and the worker that writes has another.
        target = os.path.join(folder, "span.json")
        with self._make_beam_pipeline() as pipeline:
            _ = pipeline | stages.TimeSpan(pattern) | beam.io.WriteToText(target, shard_name_template="")
        first, last = json.loads(io_utils.read_string_file(target))
        fileio.remove(target)
        return event_starts(manifest.split.events, first, last)


def _summarise(manifest: Manifest, uri: str, starts: tuple[int, int]) -> None:
    """Gathers what the stages wrote into one summary, and stops the run past a limit."""
    findings = Findings()
    counts = np.zeros(0, np.int64)
    for name in fileio.listdir(uri):
        part = json.loads(io_utils.read_string_file(os.path.join(uri, name)))
        findings += Findings.from_json(part["findings"])
        if "item_counts" in part:
            counts = np.asarray(part["item_counts"], np.int64)
        fileio.remove(os.path.join(uri, name))
    Summary(findings=findings, starts=starts, item_counts=counts).save(uri)
    findings.raise_past(manifest.limits)


def interaction_schema(manifest: Manifest) -> schema_pb2.Schema:
    """The schema of the interactions: known beforehand, but for the columns of the users table."""
    schema = schema_pb2.Schema()
    for described in INTERACTION:
        feature = schema.feature.add(name=described.name, type=described.kind)
        if not described.is_list:
            feature.presence.min_fraction = 1.0
            feature.shape.dim.add(size=1)
    if manifest.users:
        columns = dict.fromkeys(manifest.users.categorical, BYTES)
        for column, kind in (columns | dict.fromkeys(manifest.users.numeric, FLOAT)).items():
            schema.feature.add(name=features.user_feature(column), type=kind)
    return schema
