from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.errors import DataError
from dataset.manifest import Manifest, load_manifest
from tests.components.in_memory import read_table, rows

ITEMS = """\
name = "shop"
[items]
path = {path}
id = "sku"
text = ["title"]
numeric = ["price"]
categorical = ["room"]
availability = "in_stock"
[events]
path = "events.csv"
user = "user"
item = "sku"
time = "at"
kind = {{ column = "what", kinds = {{ view = 0.1, buy = {{ label = "purchase" }} }} }}
value = "paid"
"""
CSV = "sku,title,price,room,in_stock\n007,Red lamp,9.5,hall,true\n7,Blé lamp,,,\nx 1,Old chair,40,hall,no\n"
EXPECTED = {
    b"007": {"title": [b"Red lamp"], "price": [9.5], "room": [b"hall"], "available": [1]},
    b"7": {"title": ["Blé lamp".encode()], "price": [], "room": [b""], "available": [1]},
    b"x 1": {"title": [b"Old chair"], "price": [40.0], "room": [b"hall"], "available": [0]},
}
JSON_LINES = """\
{"sku": "007", "title": "Red lamp", "price": 9.5, "room": "hall", "in_stock": true}
{"sku": "7", "title": "Blé lamp", "price": null, "in_stock": null}
{"sku": "x 1", "title": "Old chair", "price": 40, "room": "hall", "in_stock": false}
"""


def _parquet() -> bytes:
    table = pa.table(
        {
            "sku": ["007", "7", "x 1"],
            "title": ["Red lamp", "Blé lamp", "Old chair"],
            "price": pa.array([9.5, None, 40.0], pa.float64()),
            "room": ["hall", None, "hall"],
            "in_stock": [True, None, False],
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _manifest(folder: Path, path: str, **files: bytes) -> Manifest:
    folder.joinpath("dataset.toml").write_text(ITEMS.format(path=path))
    for name, content in files.items():
        folder.joinpath(name.replace("__", ".")).write_bytes(content)
    return load_manifest(folder)


def _by_id(found: list[dict[str, list[Any]]]) -> dict[bytes, dict[str, list[Any]]]:
    return {row.pop("item_id")[0]: row for row in found}


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ('"items.tsv"', {"items__tsv": CSV.replace(",", "\t").encode()}),
        ('"items.csv.gz"', {"items__csv__gz": gzip.compress(CSV.encode())}),
        ('"items.jsonl.gz"', {"items__jsonl__gz": gzip.compress(JSON_LINES.encode())}),
        ('"items.parquet"', {"items__parquet": _parquet()}),
    ],
)
def test_every_format_gives_the_same_examples(tmp_path: Path, path: str, files: dict[str, bytes]) -> None:
    examples = read_table(_manifest(tmp_path, path, **files), "items", tmp_path / "out")

    assert _by_id(rows(Path(examples.uri))) == EXPECTED
    assert examples.split_names == '["all"]'


@pytest.mark.parametrize("path", ['["a.csv", "b.csv"]', '"?.csv"'])
def test_table_of_several_files_is_one_split(tmp_path: Path, path: str) -> None:
    header, *lines = CSV.splitlines()
    manifest = _manifest(
        tmp_path,
        path,
        a__csv="\n".join([header, *lines[:1]]).encode(),
        b__csv="\n".join([header, *lines[1:]]).encode(),
    )

    examples = read_table(manifest, "items", tmp_path / "out")

    assert _by_id(rows(Path(examples.uri))) == EXPECTED


def test_categories_of_an_item_are_values_of_its_example(tmp_path: Path) -> None:
    lines = [
        '{"sku": "1", "title": "Lamp", "price": 1, "room": ["hall", null, "attic, or bed", "hall"]}',
        '{"sku": "2", "title": "Lamp", "price": 1, "room": "hall"}',
        '{"sku": "3", "title": "Lamp", "price": 1, "room": []}',
    ]
    lines = [line.replace("}", ', "in_stock": true}') for line in lines]
    manifest = _manifest(tmp_path, '"items.jsonl"', items__jsonl="\n".join(lines).encode())

    found = _by_id(rows(Path(read_table(manifest, "items", tmp_path / "out").uri)))

    assert {item: row["room"] for item, row in found.items()} == {
        b"1": [b"hall", b"attic, or bed"],
        b"2": [b"hall"],
        b"3": [b""],
    }


def test_unusable_events_are_left_out_and_kinds_become_labels_with_weights(tmp_path: Path) -> None:
    log = (
        "user,sku,at,what,paid",
        "01,7,2024-01-01 00:01,buy,3.5",
        "1,007,60,view,",
        ",7,60,buy,1",
        "1,7,60,steal,1",
    )
    events = "\n".join(log).encode()
    manifest = _manifest(tmp_path, '"items.csv"', items__csv=CSV.encode(), events__csv=events)

    found = rows(Path(read_table(manifest, "events", tmp_path / "out").uri))

    assert sorted(found, key=lambda row: row["user_id"]) == [
        {
            "user_id": [b"01"],
            "item_id": [b"7"],
            "time": [1704067260],
            "kind": [b"purchase"],
            "weight": [1.0],
            "value": [3.5],
        },
        {
            "user_id": [b"1"],
            "item_id": [b"007"],
            "time": [60],
            "kind": [b"view"],
            "weight": [pytest.approx(0.1)],
            "value": [],
        },
    ]


def test_judgments_are_joined_with_the_table_of_queries(tmp_path: Path) -> None:
    tmp_path.joinpath("dataset.toml").write_text(
        """\
name = "shop"
[items]
path = "items.csv"
id = "sku"
text = ["title"]
[judgments]
path = "qrels.tsv"
queries = "queries.tsv"
query_id = "id"
query = "text"
item = "sku"
grade = { column = "label", gains = { E = 1.0, I = 0.0 } }
"""
    )
    tmp_path.joinpath("items.csv").write_text(CSV)
    tmp_path.joinpath("queries.tsv").write_text("id\ttext\n05\tred lamp\n5\tchair\n")
    tmp_path.joinpath("qrels.tsv").write_text("id\tsku\tlabel\n05\t007\tE\n5\tx 1\tI\n")

    examples = read_table(load_manifest(tmp_path), "judgments", tmp_path / "out")

    assert sorted(rows(Path(examples.uri)), key=lambda row: row["query_id"]) == [
        {"query_id": [b"05"], "query": [b"red lamp"], "item_id": [b"007"], "grade": [1.0]},
        {"query_id": [b"5"], "query": [b"chair"], "item_id": [b"x 1"], "grade": [0.0]},
    ]


def test_file_that_vanished_is_named(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, '"items.csv"')

    with pytest.raises(DataError, match=r"items\.csv"):
        read_table(manifest, "items", tmp_path / "out")
