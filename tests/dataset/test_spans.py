from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pytest

from dataset.errors import DataError
from dataset.manifest import Manifest, load_manifest
from dataset.span_paths import span_mistake
from dataset.spans import files_read, spans_in_words, spans_of
from tests.tiny_dataset import Write


def _manifest(dataset: Write, path: str, files: list[str], *, spans: int | None = None) -> Manifest:
    folder = dataset()
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    manifest = load_manifest(folder)
    assert manifest.events is not None
    return dataclasses.replace(
        manifest, events=dataclasses.replace(manifest.events, path=(path,), spans=spans)
    )


def _names(files: list[str]) -> list[str]:
    return [Path(file).name for file in files]


def test_log_is_read_up_to_the_latest_span_and_other_tables_at_it(dataset: Write) -> None:
    manifest = _manifest(
        dataset, "days/{SPAN}.csv", ["days/2.csv", "days/10.csv", "days/1.csv", "days/9.csv"]
    )

    assert _names(files_read(manifest, "events")) == ["1.csv", "2.csv", "9.csv", "10.csv"]
    assert _names(files_read(manifest, "events", last=9)) == ["1.csv", "2.csv", "9.csv"]
    items = dataclasses.replace(manifest.items, path=("days/{SPAN}.csv",))
    assert _names(files_read(dataclasses.replace(manifest, items=items), "items")) == ["10.csv"]
    assert _names(files_read(dataclasses.replace(manifest, items=items), "items", last=2)) == ["2.csv"]


def test_window_is_the_last_spans_there_are(dataset: Write) -> None:
    manifest = _manifest(dataset, "days/{SPAN}.csv", ["days/2.csv", "days/5.csv", "days/9.csv"], spans=2)

    assert _names(files_read(manifest, "events")) == ["5.csv", "9.csv"]
    assert spans_in_words(manifest, "events") == "2 spans, 5 to 9"


def test_span_of_a_date_is_its_day_since_1970(dataset: Write) -> None:
    files = [f"d/{part}-2024-02-{day}.csv" for day in (28, 29) for part in "ab"]
    manifest = _manifest(dataset, "d/*-{YYYY}-{MM}-{DD}.csv", files)

    found = spans_of(manifest, "events")

    day = (datetime.date(2024, 2, 28) - datetime.date(1970, 1, 1)).days
    assert {span: _names(names) for span, names in found.items()} == {
        day: ["a-2024-02-28.csv", "b-2024-02-28.csv"],
        day + 1: ["a-2024-02-29.csv", "b-2024-02-29.csv"],
    }
    assert spans_in_words(manifest, "events") == "2 spans, 2024-02-28 to 2024-02-29"


def test_table_without_spans_is_read_whole(dataset: Write) -> None:
    manifest = load_manifest(dataset())

    assert list(spans_of(manifest, "items")) == [0]
    assert spans_in_words(manifest, "items") == ""


@pytest.mark.parametrize(
    ("path", "file", "sentence"),
    [
        ("days/{SPAN}.csv", "days/notes.csv", "must have a number where its path"),
        ("days/{YYYY}-{MM}-{DD}.csv", "days/2024-02-30.csv", "must have a date where its path"),
        ("days/{SPAN}.csv", "days/007.csv", r"write {SPAN:3} in the path"),
    ],
)
def test_file_whose_span_cannot_be_read_is_named(dataset: Write, path: str, file: str, sentence: str) -> None:
    manifest = _manifest(dataset, path, [file])

    with pytest.raises(DataError, match=f"{Path(file).name}.*{sentence}"):
        files_read(manifest, "events")


def test_width_reads_numbers_padded_with_zeros(dataset: Write) -> None:
    manifest = _manifest(dataset, "days/{SPAN:3}.csv", ["days/007.csv", "days/012.csv"])

    assert list(spans_of(manifest, "events")) == [7, 12]


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("days/**/{SPAN}.csv", ["days/1.csv", "days/a/2.csv", "days/a/b/3.csv"]),
        ("**/part-{SPAN}.csv", ["part-1.csv", "days/a/part-2.csv"]),
        ("days/**/part-{SPAN}.csv", ["days/part-1.csv", "days/part-9/part-2.csv"]),
        ("days/[ab]-{SPAN}.csv", ["days/a-1.csv", "days/b-2.csv"]),
        ("days/[!0-9]-{SPAN}.csv", ["days/a-1.csv"]),
        ("days/?{SPAN}.csv", ["days/a1.csv"]),
    ],
)
def test_span_of_every_file_that_a_glob_finds_is_read(dataset: Write, path: str, files: list[str]) -> None:
    manifest = _manifest(dataset, path, files)

    found = spans_of(manifest, "events")

    assert list(found) == list(range(1, len(files) + 1))
    assert _names([file for of_span in found.values() for file in of_span]) == _names(files)


@pytest.mark.parametrize(
    ("paths", "is_right"),
    [
        (["a/{SPAN}.csv", "b/{SPAN}.csv"], True),
        (["a/{YYYY}/{MM}/{DD}.csv"], True),
        (["a.csv"], True),
        (["a/{SPAN}/{SPAN}.csv"], False),
        (["a/{YYYY}-{MM}.csv"], False),
        (["a/{SPAN}-{YYYY}-{MM}-{DD}.csv"], False),
        (["a/{SPAN}.csv", "b.csv"], False),
        (["a/{SPAN}.csv", "b/{YYYY}-{MM}-{DD}.csv"], False),
    ],
)
def test_paths_have_one_kind_of_span_as_tfx_wants(paths: list[str], is_right: bool) -> None:
    assert (span_mistake(paths) == "") is is_right


def test_every_path_must_have_the_latest_span(dataset: Write) -> None:
    manifest = _manifest(dataset, "web/{SPAN}.csv", ["web/1.csv", "web/2.csv", "app/1.csv"])
    assert manifest.events is not None
    events = dataclasses.replace(manifest.events, path=("web/{SPAN}.csv", "app/{SPAN}.csv"))

    with pytest.raises(DataError, match=r"Got 1 for app/\{SPAN\}\.csv and 2 elsewhere"):
        spans_of(dataclasses.replace(manifest, events=events), "events")
