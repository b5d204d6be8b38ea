from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.errors import DataError
from dataset.tables import column_names, read_batches, table_format

CSV = b"sku,title\n1,lamp\n2,\xc3\xa9tag\xc3\xa8re\n"
LONG = b"sku,title\n" + b"1,lamp\n" * 5000
ROWS = [{"sku": "1", "title": "lamp"}, {"sku": "2", "title": "étagère"}]
JSON = b'{"sku": "1", "title": "lamp"}\n{"sku": "2", "title": "\xc3\xa9tag\xc3\xa8re"}\n'


def _rows(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [row for _, batch in read_batches(str(path), **options) for row in batch.to_pylist()]


def _pack(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("name", "packed", "content"),
    [
        ("t.zip", "items.csv", CSV),
        ("t.csv.zip", "data", CSV),
        ("T.ZIP", "export/Items.TSV", CSV.replace(b",", b"\t")),
        ("t.zip", "items.jsonl", JSON),
        ("t.zip", "items.json", b"[" + b",".join(JSON.splitlines()) + b"]"),
        ("t.zip", "items.csv.gz", gzip.compress(CSV)),
        # Its first bytes say so, as with gzip.
        ("t.csv", "data.txt", CSV),
    ],
)
def test_archive_of_one_file_is_read_as_that_file(
    tmp_path: Path, name: str, packed: str, content: bytes
) -> None:
    path = _pack(tmp_path / name, **{packed: content})

    assert _rows(path) == ROWS
    assert column_names(str(path)) == ["sku", "title"]
    assert _rows(path, batch_rows=1) == ROWS


@pytest.mark.parametrize("kind", ["parquet", "xlsx"])
def test_archive_may_hold_a_file_that_is_read_to_and_fro(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "items.parquet")
    else:
        book = openpyxl.Workbook()
        for row in (["sku", "title"], *(list(row.values()) for row in ROWS)):
            book.active.append(row)
        book.save(tmp_path / "items.xlsx")
    path = _pack(tmp_path / "t.zip", **{f"items.{kind}": (tmp_path / f"items.{kind}").read_bytes()})

    assert table_format(str(path)) == kind
    assert _rows(path) == ROWS


def test_archive_of_pandas_is_read(tmp_path: Path) -> None:
    pd.DataFrame(ROWS).to_csv(tmp_path / "items.csv.zip", index=False)

    assert _rows(tmp_path / "items.csv.zip") == ROWS


def test_what_systems_add_and_what_is_empty_is_passed_over(tmp_path: Path) -> None:
    extra = {
        "export/": b"",
        "__MACOSX/._items.csv": b"x",
        ".DS_Store": b"x",
        "export/_SUCCESS": b"x",
        "e.csv": b"",
    }

    assert _rows(_pack(tmp_path / "t.zip", **extra, **{"export/items.csv": CSV})) == ROWS


def test_reading_an_archive_counts_its_bytes(tmp_path: Path) -> None:
    path = _pack(tmp_path / "t.zip", **{"items.csv": LONG})
    told: list[int] = []

    for _ in read_batches(str(path), on_bytes=told.append):
        pass

    # The list of what is in it is at its end, and read first.
    assert path.stat().st_size <= sum(told) <= path.stat().st_size + 1000


def test_archive_of_several_files_names_them(tmp_path: Path) -> None:
    path = _pack(tmp_path / "t.zip", **{"items.csv": CSV, "events.csv": CSV})

    with pytest.raises(
        DataError, match=r"t\.zip must have one file in it\. Got items\.csv, events\.csv; unpack it"
    ):
        _rows(path)


def test_archive_of_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must have one file in it\. Got none with content"):
        _rows(_pack(tmp_path / "t.zip", **{"items.csv": b""}))


def test_archive_of_another_format_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r't\.zip: the format must be one of .+ Got the suffix "\.pdf"'):
        _rows(_pack(tmp_path / "t.zip", **{"items.pdf": b"%PDF"}))


def test_archive_with_a_password_is_told(tmp_path: Path) -> None:
    path = _pack(tmp_path / "t.zip", **{"items.csv": CSV})
    content = bytearray(path.read_bytes())
    # The flags of the file, in front of it and in the list at the end (APPNOTE 4.3).
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"must have no password\. Got an encrypted items\.csv; unpack it"):
        _rows(path)


def test_archive_packed_in_another_way_is_told(tmp_path: Path) -> None:
    path = _pack(tmp_path / "t.zip", **{"items.csv": CSV})
    content = bytearray(path.read_bytes())
    # Deflate64, as Windows packs large files.
    content[8] = 9
    content[content.index(b"PK\x01\x02") + 10] = 9
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"must be packed as ZIP usually is\. Got: .+; unpack it"):
        _rows(path)


@pytest.mark.parametrize("name", ["items.csv", "items.parquet"])
def test_damaged_archive_is_an_error_and_not_a_shorter_table(tmp_path: Path, name: str) -> None:
    path = _pack(tmp_path / "t.zip", **{name: LONG})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") - 20] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"t\.zip.* must be whole"):
        _rows(path)


def test_archive_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    path = _pack(tmp_path / "t.zip", **{"items.csv": CSV})
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(DataError, match=r"t\.zip must be a whole ZIP archive"):
        _rows(path)
