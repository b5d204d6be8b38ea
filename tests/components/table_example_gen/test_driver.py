from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from tfx.components.example_gen import utils
from tfx.types import standard_artifacts

from components.table_example_gen.component import TableExampleGen
from components.table_example_gen.driver import Driver
from components.table_example_gen.executor import Executor
from dataset.manifest import Manifest, load_manifest
from tests.components.in_memory import artifact, context, rows

MANIFEST = """
name = "shop"
[items]
path = "items/{YYYY}-{MM}-{DD}.csv"
id = "sku"
text = ["title"]
[events]
path = "days/{YYYY}-{MM}-{DD}.csv"
user = "user"
item = "sku"
time = "at"
"""


def _dataset(folder: Path) -> Manifest:
    (folder / "dataset.toml").write_text(MANIFEST)
    for name in ("items", "days"):
        (folder / name).mkdir()
    for day in ("2024-01-30", "2024-01-31", "2024-02-01"):
        (folder / "items" / f"{day}.csv").write_text(f"sku,title\nsku-{day},lamp\n")
        (folder / "days" / f"{day}.csv").write_text(f"user,sku,at\nu,sku-{day},{day}\n")
    return load_manifest(folder)


def _resolve(manifest: Manifest, table: str) -> dict[str, Any]:
    properties = dict(TableExampleGen(manifest, table=table).exec_properties)
    return Driver(None).resolve_exec_properties(properties, None, None)


def _read(manifest: Manifest, table: str, folder: Path) -> set[bytes]:
    examples = artifact(standard_artifacts.Examples, folder)
    Executor(context(folder)).Do({}, {"examples": [examples]}, _resolve(manifest, table))
    return {row["item_id"][0] for row in rows(folder)}


def test_span_is_the_latest_as_tfx_counts_days(tmp_path: Path) -> None:
    resolved = _resolve(_dataset(tmp_path), "events")

    assert resolved["span"] == utils.date_to_span_number(2024, 2, 1)


def test_log_is_read_in_its_window_and_the_catalogue_at_its_latest(tmp_path: Path) -> None:
    manifest = _dataset(tmp_path)
    assert manifest.events is not None
    window = dataclasses.replace(manifest, events=dataclasses.replace(manifest.events, spans=2))

    assert len(_read(manifest, "events", tmp_path / "all")) == 3
    assert _read(window, "events", tmp_path / "window") == {b"sku-2024-01-31", b"sku-2024-02-01"}
    assert _read(manifest, "items", tmp_path / "items") == {b"sku-2024-02-01"}


def test_change_of_any_span_that_is_read_is_noticed(tmp_path: Path) -> None:
    manifest = _dataset(tmp_path)
    before = {table: _resolve(manifest, table)["input_fingerprint"] for table in ("events", "items")}
    for name in ("items", "days"):
        os.utime(tmp_path / name / "2024-01-30.csv", (0, 0))

    after = {table: _resolve(manifest, table)["input_fingerprint"] for table in ("events", "items")}

    assert after["events"] != before["events"]
    assert after["items"] == before["items"]


def test_without_a_driver_the_latest_span_is_read_and_named(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    manifest = _dataset(tmp_path / "shop")
    examples = artifact(standard_artifacts.Examples, tmp_path / "examples")
    properties = dict(TableExampleGen(manifest, table="items").exec_properties)

    Executor(context(tmp_path)).Do({}, {"examples": [examples]}, properties)

    assert {row["item_id"][0] for row in rows(tmp_path / "examples")} == {b"sku-2024-02-01"}
    latest = _resolve(manifest, "items")[utils.SPAN_PROPERTY_NAME]
    assert examples.span == examples.get_int_custom_property("span") == latest > 0


def test_what_a_killed_try_had_written_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    manifest = _dataset(tmp_path / "shop")
    left = tmp_path / "examples" / "Split-all"
    left.mkdir(parents=True)
    (left / "data_tfrecord-00004-of-00005.gz").write_bytes(b"half")

    assert _read(manifest, "items", tmp_path / "examples") == {b"sku-2024-02-01"}


def test_change_is_noticed_below_a_folder_and_in_a_file_with_brackets(tmp_path: Path) -> None:
    folder = tmp_path / "shop [2024]"
    folder.mkdir()
    (folder / "dataset.toml").write_text(
        'name = "shop"\n[items]\npath = ["items [v2].csv", "more-*.csv"]\nid = "sku"\ntext = ["title"]\n'
        '[judgments]\npath = "judgments.csv"\nquery_id = "q"\nitem = "sku"\nqueries = "queries.csv"\n'
        'query = "text"\ngrade = { column = "grade", gains = { 1 = 1.0 } }\n'
    )
    for name in ("items [v2].csv", "more-1.csv", "more-2.csv"):
        (folder / name).write_text(f"sku,title\n{name},lamp\n")
    (folder / "judgments.csv").write_text("q,sku,grade\n1,more-1.csv,1\n")
    (folder / "queries.csv").write_text("q,text\n1,lamp\n")
    manifest = load_manifest(folder)
    read = {"items": ["items [v2].csv", "more-1.csv", "more-2.csv"]}
    read["judgments"] = ["judgments.csv", "queries.csv"]

    for table, names in read.items():
        for name in names:
            before = _resolve(manifest, table)["input_fingerprint"]
            assert _resolve(manifest, table)["input_fingerprint"] == before
            with (folder / name).open("a") as file:
                file.write("1,2,3\n" if "q" in name else "x,y\n")
            assert _resolve(manifest, table)["input_fingerprint"] != before


def test_folder_of_parts_is_read_and_a_change_of_one_is_noticed(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("items/{YYYY}-{MM}-{DD}.csv", "items.csv").replace(
        "days/{YYYY}-{MM}-{DD}.csv", "events.csv"
    )
    (tmp_path / "dataset.toml").write_text(manifest)
    (tmp_path / "items.csv").write_text("sku,title\na,lamp\nb,mug\n")
    parts = tmp_path / "events.csv"
    parts.mkdir()
    for name, item in (("part-00000.csv", "a"), ("part-00001.csv", "b")):
        (parts / name).write_text(f"user,sku,at\nu,{item},2024-01-01\n")
    (parts / "_SUCCESS").touch()
    loaded = load_manifest(tmp_path)
    before = _resolve(loaded, "events")

    assert _read(loaded, "events", tmp_path / "out") == {b"a", b"b"}
    (parts / "part-00001.csv").write_text("user,sku,at\nu,bb,2024-01-01\n")
    after = _resolve(loaded, "events")

    assert before[utils.FINGERPRINT_PROPERTY_NAME] != after[utils.FINGERPRINT_PROPERTY_NAME]
