from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from apache_beam.io.localfilesystem import LocalFileSystem

from dataset.check import check_dataset
from dataset.errors import DataError
from dataset.files import is_remote, join, shown
from dataset.manifest import load_manifest
from dataset.tables import expand_paths, read_batches
from tests.tiny_dataset import Write

SAMPLES = Path(__file__).parents[2] / "samples"


class DiskFileSystem(LocalFileSystem):  # type: ignore[misc]
    """A filesystem of Beam with a scheme: ``disk:///x`` is the local ``/x``."""

    @classmethod
    def scheme(cls) -> str:
        return "disk"

    def split(self, path: str) -> Any:
        return super().split(_local(path))

    def _list(self, dir_or_prefix: str) -> Iterator[Any]:
        for found in super()._list(_local(dir_or_prefix)):
            found.path = f"disk://{found.path}"
            yield found

    def exists(self, path: str) -> bool:
        return bool(super().exists(_local(path)))

    def metadata(self, path: str) -> Any:
        found = super().metadata(_local(path))
        found.path = path
        return found

    def match_files(self, file_metas: Any, pattern: str) -> Any:
        return super().match_files(file_metas, f"disk://{_local(pattern)}")

    def open(self, path: str, *options: Any, **named: Any) -> Any:
        return super().open(_local(path), *options, **named)


def _local(path: str) -> str:
    return path.removeprefix("disk://")


def test_dataset_on_a_filesystem_of_beam_is_checked_like_a_local_one() -> None:
    local = load_manifest(SAMPLES / "online_retail")
    remote = load_manifest(f"disk://{SAMPLES / 'online_retail'}")

    report = check_dataset(remote, stream=io.StringIO())

    assert remote.folder == f"disk://{local.folder}"
    assert report.events == check_dataset(local, stream=io.StringIO()).events


@pytest.mark.parametrize("name", ["*.csv", "items.csv"])
def test_remote_glob_finds_files(dataset: Write, name: str) -> None:
    folder = f"disk://{dataset()}"

    found = expand_paths([name], folder)

    assert f"{folder}/items.csv" in found
    assert sum(batch.num_rows for _, batch in read_batches(f"{folder}/items.csv")) == 3


@pytest.mark.parametrize("name", ["t.csv.zip", "t.xlsx"])
def test_remote_archive_and_workbook_are_read(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"sku": ["1", "2"]})
    frame.to_csv(tmp_path / name, index=False) if "csv" in name else frame.to_excel(
        tmp_path / name, index=False
    )

    batches = list(read_batches(f"disk://{tmp_path / name}", on_bytes=lambda _: None))

    assert [row for _, batch in batches for row in batch.to_pylist()] == [{"sku": "1"}, {"sku": "2"}]


def test_missing_remote_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Got none at disk://"):
        expand_paths(["items.csv"], f"disk://{tmp_path}")
    with pytest.raises(DataError, match="must have a manifest"):
        load_manifest(f"disk://{tmp_path}")


def test_scheme_that_beam_does_not_know_is_named() -> None:
    with pytest.raises(DataError, match=r"must be on a filesystem Beam can open.+carrier-pigeon"):
        load_manifest("pigeon://carrier-pigeon")


@pytest.mark.parametrize(
    ("path", "expected"), [("a.csv", "/d/a.csv"), ("/a.csv", "/a.csv"), ("gs://b/a.csv", "gs://b/a.csv")]
)
def test_paths_are_relative_to_the_folder_unless_they_say_otherwise(path: str, expected: str) -> None:
    assert join("/d/", path) == expected


@pytest.mark.parametrize(
    "name",
    ["online_retail/items.csv", "online_retail/transactions.csv.gz", "shopping_queries/products.jsonl.gz"],
)
def test_reading_a_file_counts_its_bytes(name: str) -> None:
    path, counted = SAMPLES / name, [0]

    def count(num_bytes: int) -> None:
        counted[0] += num_bytes

    for _ in read_batches(str(path), on_bytes=count):
        pass

    assert counted[0] == path.stat().st_size


def test_path_below_the_current_folder_is_shown_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert shown(str(tmp_path / "a" / "b.csv")) == "a/b.csv"
    assert shown("/elsewhere/b.csv") == "/elsewhere/b.csv"
    assert is_remote(shown("gs://bucket/b.csv"))
