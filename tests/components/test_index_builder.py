from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from components.index_builder import on_catalogue
from components.index_files import available_times, save_catalogue
from dataset.manifest import load_manifest
from dataset.times import FIRST, LAST
from serving.servable.catalogue import Catalogue
from serving.servable.search_quality import JudgedQueries
from tests.components.in_memory import write_tables
from tests.models.contexts import make_contexts

MANIFEST = """\
name = "shop"
[items]
path = "items.csv"
id = "sku"
text = ["title", "room"]
numeric = ["price", "stars"]
categorical = ["room"]
[events]
path = "events.csv"
user = "user"
item = "sku"
time = "at"
kind = "purchase"
"""
ITEMS = (
    "sku,title,price,stars,room\n007,Red lamp,2.55,4,hall\n7,Blé lamp,,,\nx 1,Old chair,1234567.5,,Küche\n"
)


def test_columns_of_items_are_kept_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text(MANIFEST)
    (tmp_path / "items.csv").write_text(ITEMS)
    (tmp_path / "events.csv").write_text("user,sku,at\nann,007,2024-01-01\n")
    manifest = load_manifest(tmp_path / "dataset.toml")
    write_tables(manifest, tmp_path / "tables")
    path = tmp_path / "catalogue"

    save_catalogue(manifest.items, str(tmp_path / "tables" / "items" / "Split-all"), str(path))

    catalogue = Catalogue(path)
    assert catalogue.columns_of(["007", "7", "x 1"]) == {
        "007": {"price": 2.55, "stars": 4.0, "room": "hall"},
        "7": {},
        "x 1": {"price": 1234567.5, "room": "Küche"},
    }
    catalogue.close()


def test_times_of_availability_are_in_the_order_of_the_items(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text(MANIFEST.replace("[events]", 'available_until = "ends"\n[events]'))
    (tmp_path / "items.csv").write_text(
        "sku,title,price,stars,room,ends\n7,Lamp,,,,2024-01-02\n007,Red lamp,,,,\nx 1,Chair,,,,1700000000\n"
    )
    (tmp_path / "events.csv").write_text("user,sku,at\nann,007,2024-01-01\n")
    manifest = load_manifest(tmp_path / "dataset.toml")
    write_tables(manifest, tmp_path / "tables")
    pattern = str(tmp_path / "tables" / "items" / "Split-all" / "*")

    times = available_times(manifest.items, pattern)

    assert times is not None
    assert times.tolist() == [[FIRST] * 3, [LAST, 1704153600, 1700000000]]
    assert available_times(dataclasses.replace(manifest.items, available_until=None), pattern) is None


def test_several_values_of_a_column_are_kept_with_commas(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text(
        MANIFEST.replace("[events]", 'separator = { room = "|" }\n[events]')
    )
    (tmp_path / "items.csv").write_text("sku,title,price,stars,room\n7,Lamp,,,hall | attic|hall\n8,Bed,,,|\n")
    (tmp_path / "events.csv").write_text("user,sku,at\nann,7,2024-01-01\n")
    manifest = load_manifest(tmp_path / "dataset.toml")
    write_tables(manifest, tmp_path / "tables")

    save_catalogue(
        manifest.items, str(tmp_path / "tables" / "items" / "Split-all"), str(tmp_path / "catalogue")
    )

    catalogue = Catalogue(tmp_path / "catalogue")
    assert catalogue.columns_of(["7", "8"]) == {"7": {"room": "hall, attic"}, "8": {}}
    catalogue.close()


def test_histories_move_to_the_rows_of_a_later_catalogue_and_lose_what_is_gone() -> None:
    users = make_contexts(
        targets=[[], []],
        histories=[[2, 0, 1], [0]],
        inputs={
            "history_rows": [[2, 0, 1, -1], [0, -1, -1, -1]],
            "history_counts": [[3, 1, 2, 0], [4, 0, 0, 0]],
        },
    )

    moved = on_catalogue(users, np.array([-1, 5, 0]))

    assert moved.inputs["history_rows"].tolist() == [[0, -1, 5, -1], [-1, -1, -1, -1]]
    assert moved.inputs["history_counts"].tolist() == [[3, 0, 2, 0], [0, 0, 0, 0]]
    assert [seen.tolist() for seen in moved.histories] == [[0, 5], []]


def test_judgments_move_to_the_rows_of_a_later_catalogue_and_lose_what_is_gone() -> None:
    first = make_contexts(targets=[[0, 2], []], weights=[[1.0, 0.5], []])
    second = make_contexts(targets=[[1]], weights=[[0.25]])

    judged = JudgedQueries.on_catalogue([first, second], np.array([-1, 0, 3]), 4)

    assert judged.queries == ["", "", ""]
    assert judged.gains.toarray().tolist() == [[0, 0, 0, 0.5], [0, 0, 0, 0], [0.25, 0, 0, 0]]
    assert JudgedQueries.on_catalogue([], np.array([0]), 4).gains.shape == (0, 4)
