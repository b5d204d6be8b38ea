"""tf.Examples as Arrow batches or pandas frames, on a Beam worker or in process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

BYTES, INT, FLOAT = schema_pb2.FeatureType.BYTES, schema_pb2.FeatureType.INT, schema_pb2.FeatureType.FLOAT


class FrameDecoder:
    """Decodes serialised examples of single values.

    Args:
        columns: Feature type by name; others are passed over.
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        schema = schema_pb2.Schema()
        for name, kind in columns.items():
            schema.feature.add(name=name, type=kind)
        self._decoder = ExamplesToRecordBatchDecoder(schema.SerializeToString())

    def decode_batch(self, examples: list[bytes]) -> pa.RecordBatch:
        """A row an example: binary, int64 or float32, null where it has no value."""
        batch = self._decoder.DecodeBatch(examples)
        columns = []
        for column in batch.columns:
            has_value = np.asarray(column.value_lengths().fill_null(0)) > 0
            indices = np.cumsum(has_value) - 1
            values = column.flatten().take(pa.array(indices, mask=~has_value))
            columns.append(values.cast(pa.binary()) if pa.types.is_large_binary(values.type) else values)
        return pa.record_batch(columns, names=batch.schema.names)

    def decode(self, examples: list[bytes]) -> pd.DataFrame:
        """A row an example, with None or NaN where it has no value."""
        return self.decode_batch(examples).to_pandas()


def read_frame(pattern: str, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Reads gzipped TFRecord files whole."""
    files = sorted(tf.io.gfile.glob(pattern))
    decoder = FrameDecoder(columns)
    records = tf.data.TFRecordDataset(files, "GZIP").batch(8192)
    frames = [decoder.decode(batch.tolist()) for batch in records.as_numpy_iterator()]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(columns))
