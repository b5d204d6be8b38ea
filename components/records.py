"""Gzipped TFRecord files, read and written by Beam workers a batch of records at a time.

A record costs Beam far more than its bytes, so what travels between stages is a batch.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.tfrecordio import _TFRecordSink
from tfx.dsl.io import fileio

from dataset.frames import FrameDecoder

# Of a file before it is packed: small enough for many workers to share the files of a large table.
_FILE_BYTES = 64 << 20
# Large, because a shuffle splits each batch into a piece a shard.
_BATCH_ROWS = 1 << 16


class ReadRecords(beam.PTransform):
    """The records of the files of a pattern as lists of bytes; no list spans two files.

    Args:
        pattern: Gzipped TFRecord files that exist when the pipeline is built.
        batch_size: Records in a list, at most.
    """

    def __init__(self, pattern: str, *, batch_size: int) -> None:
        super().__init__()
        self._pattern, self._batch_size = pattern, batch_size

    def expand(self, pipeline: Any) -> Any:
        return (
            pipeline
            | "Files" >> beam.Create(sorted(tf.io.gfile.glob(self._pattern)))
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read_batches, self._batch_size)
        )


def _read_batches(file: str, batch_size: int) -> Iterator[list[bytes]]:
    for batch in tf.data.TFRecordDataset(file, "GZIP").batch(batch_size).as_numpy_iterator():
        yield batch.tolist()


class ReadColumns(beam.PTransform):
    """Examples of single values as Arrow batches, null where there is none.

    Args:
        pattern: As for `ReadRecords`.
        columns: As for `FrameDecoder`.
    """

    def __init__(self, pattern: str, columns: Mapping[str, Any]) -> None:
        super().__init__()
        self._pattern, self._columns = pattern, columns

    def expand(self, pipeline: Any) -> Any:
        records = pipeline | ReadRecords(self._pattern, batch_size=_BATCH_ROWS)
        return records | "Decode" >> beam.ParDo(_Decode(self._columns))


class _Decode(beam.DoFn):
    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = columns

    def setup(self) -> None:
        self._decoder = FrameDecoder(self._columns)

    def process(self, batch: list[bytes]) -> Iterator[pa.RecordBatch]:
        yield self._decoder.decode_batch(batch)


class WriteRecords(beam.PTransform):
    """Writes lists of records into as many files as their size asks for, which appear when all are whole.

    Args:
        prefix: Of the files' paths; ``-00000-of-00001.gz`` and so on follow.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def expand(self, batches: Any) -> Any:
        return batches | beam.io.Write(_BatchSink(self._prefix))


class _BatchSink(_TFRecordSink):
    """Beam's own sink but for the batch: its format, temporary files and final names."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix, None, ".gz", 0, None, CompressionTypes.AUTO)
        self.max_bytes_per_shard = _FILE_BYTES

    def write_record(self, file_handle: Any, value: list[bytes]) -> None:
        framed = io.BytesIO()
        for record in value:
            self.write_encoded_record(framed, record)
        file_handle.write(framed.getvalue())


def clear(folder: str) -> None:
    """Empties a folder: an orchestrator that starts a failed node again leaves what it had written."""
    if fileio.exists(folder):
        fileio.rmtree(folder)
    fileio.makedirs(folder)
