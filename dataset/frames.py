"""tf.Examples as Arrow batches or pandas frames, on a Beam worker or in process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

BYTES, INT, FLOAT = schema_pb2.FeatureType.BYTES, schema_pb2.FeatureType.INT, schema_pb2.FeatureType.FLOAT


class FrameDecoder:
    """Decodes serialised examples of single values and of lists of texts.

    Args:
        columns: Feature type by name; others are passed over.
        separator: What joins the texts of a list.
    """

    def __init__(self, columns: Mapping[str, Any], separator: str = " ") -> None:
        self._separator = separator.encode()
        schema = schema_pb2.Schema()
        for name, kind in columns.items():
            schema.feature.add(name=name, type=kind)
        self._decoder = ExamplesToRecordBatchDecoder(schema.SerializeToString())

    def decode_batch(self, examples: list[bytes]) -> pa.RecordBatch:
        """A row an example: binary, int64 or float32, null where it has no value."""
        batch = self._decoder.DecodeBatch(examples)
        columns = []
        for column in batch.columns:
            lengths = np.asarray(column.value_lengths().fill_null(0))
            has_value = lengths > 0
            values = column.flatten()
            values = values.cast(pa.binary()) if pa.types.is_large_binary(values.type) else values
            if lengths.max(initial=0) > 1:
                starts = pa.array(np.append(0, np.cumsum(lengths)).astype(np.int32))
                values = pc.binary_join(pa.ListArray.from_arrays(starts, values), self._separator)
                columns.append(pc.if_else(pa.array(has_value), values, pa.scalar(None, values.type)))
            else:
                columns.append(values.take(pa.array(np.cumsum(has_value) - 1, mask=~has_value)))
        return pa.record_batch(columns, names=batch.schema.names)

    def decode(self, examples: list[bytes]) -> pd.DataFrame:
        """A row an example, with None or NaN where it has no value."""
        return self.decode_batch(examples).to_pandas()


def read_frame(pattern: str, columns: Mapping[str, Any], separator: str = " ") -> pd.DataFrame:
    """Reads gzipped TFRecord files whole; the arguments are those of `FrameDecoder`."""
    files = sorted(tf.io.gfile.glob(pattern))
    decoder = FrameDecoder(columns, separator)
    records = tf.data.TFRecordDataset(files, "GZIP").batch(8192)
    frames = [decoder.decode(batch.tolist()) for batch in records.as_numpy_iterator()]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(columns))
