from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data_nodes import measure, repeat
from dataset.columns import normalised_batches
from dataset.errors import DataError
from dataset.manifest import Manifest, load_manifest

MANIFEST = """\
name = "shop"
[items]
path = "items.csv"
id = "sku"
text = ["title"]
[users]
path = "users.csv"
id = "user"
[events]
path = "events.csv"
user = "user"
item = "sku"
time = "at"
kind = "purchase"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Manifest:
    tmp_path.joinpath("dataset.toml").write_text(MANIFEST)
    tmp_path.joinpath("items.csv").write_text("sku,title\n007,Lamp\n8,Chair\n")
    tmp_path.joinpath("users.csv").write_text("user\n1\n2\n")
    tmp_path.joinpath("events.csv").write_text("user,sku,at\n1,007,60\n1,8,61\n2,007,62\n")
    return load_manifest(tmp_path)


def _column(manifest: Manifest, table: str, name: str) -> list[Any]:
    files = [str(path) for path in getattr(manifest, table).path]
    batches = normalised_batches(manifest, table, files)
    return [value for _, normal in batches for value in normal.batch.column(name).to_pylist()]


def test_copies_have_users_items_and_texts_of_their_own(shop: Manifest, tmp_path: Path) -> None:
    repeated = repeat(shop, tmp_path / "out", 3)

    assert _column(repeated, "items", "item_id") == ["007", "8", "007~1", "8~1", "007~2", "8~2"]
    assert _column(repeated, "items", "title")[::2] == ["Lamp", "Lamp 1", "Lamp 2"]
    assert _column(repeated, "users", "user_id") == ["1", "2", "1~1", "2~1", "1~2", "2~2"]
    events = list(zip(*(_column(repeated, "events", name) for name in ("user_id", "item_id")), strict=True))
    assert events[3:6] == [("1~1", "007~1"), ("1~1", "8~1"), ("2~1", "007~1")]
    assert _column(repeated, "events", "time") == [60, 61, 62] * 3
    assert len(repeated.events.path) == 3  # type: ignore[union-attr]


def test_set_without_events_cannot_be_repeated(tmp_path: Path) -> None:
    text = MANIFEST.split("[events]")[0] + (
        '[judgments]\npath = "qrels.csv"\nquery = "text"\nitem = "sku"\ngrade = "grade"\n'
    )
    tmp_path.joinpath("dataset.toml").write_text(text)

    with pytest.raises(DataError, match="shop must have a table of events"):
        repeat(load_manifest(tmp_path), tmp_path / "out", 2)


def test_started_process_is_measured_and_cannot_take_more_than_its_limit() -> None:
    codes = []

    def take(megabytes: int) -> None:
        # The watcher needs a moment to set the limit.
        code = f"import time; time.sleep(0.5); held = b'x' * {megabytes}_000_000; time.sleep(0.3)"
        codes.append(subprocess.run([sys.executable, "-c", code], capture_output=True, check=False))

    allowed = measure(lambda: take(100), limit_gb=0.3)
    measure(lambda: take(400), limit_gb=0.3)

    assert [done.returncode for done in codes] == [0, 1]
    assert b"MemoryError" in codes[1].stderr
    assert 0.1 < allowed.worker_gb < 0.3
