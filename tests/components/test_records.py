from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.testing.util import assert_that, equal_to

from components import records
from components.records import ReadRecords, WriteRecords

BATCHES = [[b"%d" % n * 50 for n in range(begin, begin + 10)] for begin in range(0, 40, 10)]
RECORDS = sorted(record for batch in BATCHES for record in batch)


def _write(folder: Path) -> list[str]:
    with beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create(BATCHES) | WriteRecords(str(folder / "data"))
    return sorted(str(path) for path in folder.iterdir())


def test_tensorflow_reads_what_is_written(tmp_path: Path) -> None:
    files = _write(tmp_path)

    assert sorted(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()) == RECORDS
    assert [Path(file).name for file in files] == ["data-00000-of-00001.gz"]


def test_large_table_becomes_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_FILE_BYTES", 500)

    files = _write(tmp_path)

    assert len(files) == len(BATCHES)
    assert sorted(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()) == RECORDS


def test_batches_read_are_no_larger_than_asked(tmp_path: Path) -> None:
    _write(tmp_path)

    with beam.Pipeline() as pipeline:
        batches = pipeline | ReadRecords(str(tmp_path / "*"), batch_size=16)
        assert_that(batches | "Sizes" >> beam.Map(len), equal_to([16, 16, 8]), label="sizes")
        assert_that(batches | beam.FlatMap(lambda batch: batch), equal_to(RECORDS), label="records")
