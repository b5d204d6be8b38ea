from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.errors import DataError
from dataset.tables import column_names, expand_paths, read_batches

ROWS = [{"id": "00123", "n": "1"}, {"id": "NA", "n": ""}, {"id": "é\n2", "n": "3"}]
CSV = b'id,n\n00123,1\nNA,\n"\xc3\xa9\n2",3\n'


def _rows(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [row for _, batch in read_batches(str(path), **options) for row in batch.to_pylist()]


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize(
    "name", ["t.csv", "t.csv.gz", "t.tsv", "t.tsv.gz", "t.jsonl", "t.ndjson.gz", "t.json"]
)
def test_text_formats_give_the_rows_as_strings(tmp_path: Path, name: str) -> None:
    wanted = ROWS
    if "tsv" in name:
        wanted = [{"id": "00123", "n": "1"}, {"id": "NA", "n": ""}, {"id": '"é', "n": "3"}]
        content = 'id\tn\n00123\t1\nNA\t\n"é\t3\n'.encode()
    elif "js" in name:
        content = b"\n".join(json.dumps(row).encode() for row in ROWS)
    else:
        content = CSV

    assert _rows(_write(tmp_path / name, content)) == wanted


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2], "at": pa.array([0, 1], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "t.parquet")

    ((first, batch),) = read_batches(str(tmp_path / "t.parquet"), columns=["at", "id"])

    assert first == 1
    assert batch.schema.types == [pa.timestamp("us"), pa.int64()]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_batches_number_their_first_row_from_one(tmp_path: Path, name: str) -> None:
    path, ids = tmp_path / name, [str(i) for i in range(10)]
    if name == "t.parquet":
        pq.write_table(pa.table({"id": ids}), path)
    elif name == "t.csv":
        _write(path, ("id\n" + "\n".join(ids)).encode())
    else:
        _write(path, "\n".join(json.dumps({"id": i}) for i in ids).encode())

    batches = list(read_batches(str(path), batch_rows=4))

    assert [(first, batch.num_rows) for first, batch in batches] == [(1, 4), (5, 4), (9, 2)]


def test_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    assert column_names(str(_write(tmp_path / "t.csv", b"\xef\xbb\xbf" + CSV))) == ["id", "n"]


def test_format_overrides_the_suffix(tmp_path: Path) -> None:
    assert _rows(_write(tmp_path / "t.txt", CSV), format="csv") == ROWS


def test_json_column_of_mixed_types_becomes_text(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.jsonl", b'{"id": 1, "a": null}\n\n{"id": "x", "a": [1]}\n')

    assert [row["id"] for row in _rows(path)] == ["1", "x"]


def test_json_text_that_looks_like_a_date_stays_text(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.jsonl", b'{"t": "2024-01-01"}\n{"t": "never"}\n')

    assert [row["t"] for row in _rows(path, batch_rows=1)] == ["2024-01-01", "never"]


def test_json_key_may_be_absent_from_some_rows_only(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.jsonl", b'{"a": 1}\n{"a": 2, "b": "x"}\n')

    assert _rows(path, columns=["b"], batch_rows=1) == [{"b": None}, {"b": "x"}]
    with pytest.raises(DataError, match=r'must have a column "bb".+did you mean "b"'):
        _rows(path, columns=["bb"])


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "row 2: a row must have 2 values as the header has. Got 3."),
        ("t.csv", b"a,b\n1,2\n1,\xe9\n", "row 2: text must be UTF-8"),
        ("t.csv", b"\xe9,b\n1,2\n", "header: text must be UTF-8"),
        ("t.csv", b"", "must have a header and rows. Got an empty file."),
        ("t.csv", b"a,a\n1,2\n", 'must name each column once. Got "a" twice.'),
        ("t.jsonl", b'{"a": 1}\n{"a": 1\n', "row 2: a row must be one JSON object"),
        ("t.jsonl", b'{"a": 1}\n[1]\n', "row 2: a row must be one JSON object. Got [1]."),
        ("t.parquet", b"not parquet", "must be whole and what its name says"),
        ("t.xls", b"", "the format must be one of csv, tsv, jsonl, parquet, xlsx"),
    ],
)
def test_broken_file_is_named_with_its_row(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        _rows(_write(tmp_path / name, content))

    assert name in str(error.value)
    assert sentence in str(error.value)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz"])
def test_truncated_gzip_is_an_error_and_not_a_shorter_table(tmp_path: Path, name: str) -> None:
    row = b'{"a": 1}\n' if "json" in name else b"a\n"
    (tmp_path / name).write_bytes(gzip.compress(row * 1000)[:-10])

    with pytest.raises(DataError, match="must be whole"):
        _rows(tmp_path / name)


def test_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", b"title,price\nx,1\n")

    with pytest.raises(
        DataError, match=r'must have a column "titel".+Got title, price; did you mean "title"'
    ):
        _rows(path, columns=["titel"])


def test_paths_expand_in_order_and_once(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c[1].csv"):
        _write(tmp_path / name, CSV)

    found = expand_paths(["c[1].csv", "*.csv", str(tmp_path / "a.csv")], str(tmp_path))

    assert [Path(path).name for path in found] == ["c[1].csv", "a.csv", "b.csv"]


def test_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    _write(tmp_path / "items.csv", CSV)

    with pytest.raises(DataError, match=r'item\.csv; did you mean "items\.csv"'):
        expand_paths(["item.csv"], str(tmp_path))


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "T.CSV.GZ", "t.Tsv.Gz"])
def test_gzip_is_known_by_its_first_bytes_and_endings_in_any_case(tmp_path: Path, name: str) -> None:
    separator = "\t" if "tsv" in name.lower() else ","
    path = tmp_path / name
    path.write_bytes(gzip.compress(f"sku{separator}title\n1{separator}lamp\n".encode()))
    told: list[int] = []

    found = list(read_batches(str(path), on_bytes=told.append))

    assert [row for _, batch in found for row in batch.to_pylist()] == [{"sku": "1", "title": "lamp"}]
    assert sum(told) == path.stat().st_size


def test_folder_with_brackets_holds_globs(tmp_path: Path) -> None:
    folder = tmp_path / "shop [2024]"
    folder.mkdir()
    # Where brackets were a class of characters, this one would be meant.
    (tmp_path / "shop 2").mkdir()
    for path in (folder, tmp_path / "shop 2"):
        (path / "a-1.csv").write_text("sku\n")

    assert expand_paths(["a-*.csv"], str(folder)) == [str(folder / "a-1.csv")]


def _parts(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"" if "empty" in name or name == "_SUCCESS" else b"id,n\n1,2\n")
    return folder


def test_folder_stands_for_its_parts(tmp_path: Path) -> None:
    names = [
        "part-00001.csv",
        "part-00000.csv",
        "part-empty.csv",
        "_SUCCESS",
        ".part-00000.csv.crc",
        "_temporary/x.csv",
    ]
    _parts(tmp_path / "events.csv", names)

    found = expand_paths(["events.csv"], str(tmp_path))

    assert [Path(path).name for path in found] == ["part-00000.csv", "part-00001.csv"]


def test_part_without_an_ending_has_the_format_of_its_folder(tmp_path: Path) -> None:
    folder = _parts(tmp_path / "events.csv", ["000000_0"])

    assert _rows(folder / "000000_0") == [{"id": "1", "n": "2"}]


def test_folder_without_parts_is_named(tmp_path: Path) -> None:
    _parts(tmp_path / "events.csv", ["_SUCCESS"])

    with pytest.raises(DataError, match=r"Got none in the folder .+events\.csv\."):
        expand_paths(["events.csv"], str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", b"PK\x03\x04...", "t.csv must be a whole ZIP archive with one file in it. Got one that"),
        ("t.jsonl", b"PAR1....", "Got Parquet; name it .parquet"),
        ("t.tsv", "a\tb\n1\t2\n".encode("utf-16"), "Got UTF-16; save it as UTF-8."),
        ("t.tar.gz", b"", 'Got the suffix ".tar"; unpack it, and name what is in it.'),
        ("t.csv.bz2", b"BZh9", 'Got the suffix ".bz2"; unpack it, or pack it with gzip.'),
        ("t.ods", b"PK\x03\x04", "save each sheet as CSV UTF-8"),
        ("t.dat", b"a,b\n1,2\n", 'add format = "…" to its table in the manifest'),
    ],
)
def test_file_of_another_kind_is_refused_with_a_way_out(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    with pytest.raises(DataError) as error:
        _rows(_write(tmp_path / name, content))

    assert sentence in str(error.value)
