from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.errors import DataError
from dataset.tables import read_batches

LATIN = b"caf\xe9 lamp"
VALUES = pa.array([b"red"] * 6 + [LATIN, b"blue", LATIN])
TEXTS = VALUES.view(pa.string())


@pytest.mark.parametrize(
    "column",
    [
        TEXTS,
        VALUES,
        VALUES.cast(pa.large_binary()).view(pa.large_string()),
        pa.ListArray.from_arrays(pa.array(range(10), pa.int32()), TEXTS),
        pa.LargeListArray.from_arrays(pa.array(range(10), pa.int64()), TEXTS),
        pa.FixedSizeListArray.from_arrays(TEXTS, 1),
        TEXTS.dictionary_encode(),
    ],
)
@pytest.mark.parametrize("batch_rows", [2, 100])
def test_text_of_parquet_that_is_not_utf8_is_named_by_its_row(
    tmp_path: Path, column: pa.Array, batch_rows: int
) -> None:
    path = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"title": column}), path)

    with pytest.raises(DataError, match=r't\.parquet, row 7, column "title": text must be UTF-8\. Got b.caf'):
        list(read_batches(path, columns=["title"], batch_rows=batch_rows))


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize("last", [b'{"a": 1, "title": "x"}', b'{"a": "x"}'])
def test_json_that_is_not_utf8_is_named_by_its_row(tmp_path: Path, batch_rows: int, last: bytes) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"a": 1, "title": "red"}\n{"a": 1, "title": "caf\xe9"}\n' + last + b"\n")

    with pytest.raises(DataError, match=r"t\.jsonl, row 2.*: text must be UTF-8\. Got b.+caf"):
        list(read_batches(str(path), columns=["title"], batch_rows=batch_rows))


def test_bytes_that_nobody_names_may_be_anything(tmp_path: Path) -> None:
    path = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"picture": VALUES, "title": ["x"] * 9}), path)

    assert sum(batch.num_rows for _, batch in read_batches(path)) == 9
    assert sum(batch.num_rows for _, batch in read_batches(path, columns=["title"])) == 9
