from __future__ import annotations

import dataclasses
import gzip
import io
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.check import check_dataset, check_items
from dataset.contract import ItemsTable
from dataset.errors import DataError
from dataset.manifest import Manifest, load_manifest
from dataset.summary import Report
from tests.tiny_dataset import EVENTS, ITEMS, MANIFEST, Write

SAMPLES = Path(__file__).parents[2] / "samples"
JUDGED = (
    MANIFEST
    + """judgments = { validation = 0.3, test = 0.3 }
[judgments]
path = "qrels.csv"
query = "query"
item = "sku"
grade = "grade"
"""
)
QRELS = "query,sku,grade\n" + "".join(f"query {i},001,1\nquery {i},002,0\n" for i in range(20))


def checked(folder: Path) -> tuple[Report, str]:
    stream = io.StringIO()
    report = check_dataset(load_manifest(folder), stream=stream)
    return report, stream.getvalue()


def test_online_retail_sample_is_whole() -> None:
    report, summary = checked(SAMPLES / "online_retail")

    (repeated,) = report.findings.findings
    # Two lines of one invoice may name one article.
    assert (repeated.rule, repeated.count) == ("duplicate_events", 1337)
    assert (report.num_items, report.num_users) == (2095, 699)
    assert report.events is not None
    assert sum(report.events.splits.values()) == 67640
    assert "within its limit of 100.00%" in summary


def test_shopping_queries_sample_is_whole() -> None:
    report, _ = checked(SAMPLES / "shopping_queries")

    # Amazon's sellers wrote some HTML.
    counts = {finding.column: finding.count for finding in report.findings.findings}
    assert {finding.rule for finding in report.findings.findings} == {"markup"}
    assert counts == {"title": 6, "bullet_points": 11, "description": 3}
    assert report.judgments is not None
    assert report.judgments.num_queries == 40
    assert min(report.judgments.splits.values()) >= 5


def test_report_counts_what_can_be_used(dataset: Write) -> None:
    report, summary = checked(dataset())

    assert report.events is not None
    assert report.events.splits == {"train": 2, "validation": 1, "test": 1}
    assert (report.events.num_users, report.events.num_items) == (2, 3)
    assert report.events.kinds == {"purchase": 4}
    assert "no findings" in summary
    assert "2024-01-03" in summary


def test_repeated_judgments_are_counted_and_contradicting_ones_named(dataset: Write) -> None:
    again = "query 3,001,1\nquery 3,002,0\nquery 4,001,0.5\nquery 4,001,0.5\n"

    report, summary = checked(dataset(JUDGED, qrels__csv=QRELS + again))

    counts = {finding.rule: finding.count for finding in report.findings.findings}
    assert counts == {"duplicate_judgments": 4, "contradicting_judgments": 2}
    assert 'column "grade" must give a query and item one grade' in summary
    assert 'Got "0.5, and 1 in row 9"' in summary


def test_judgments_that_contradict_each_other_too_often_stop_the_run(dataset: Write) -> None:
    with pytest.raises(DataError, match=r"limits\.contradicting_judgments allows 0\.05"):
        checked(dataset(JUDGED, qrels__csv=QRELS + "".join(f"query {n},001,0\n" for n in range(9))))


def test_shares_of_time_are_counted_like_dates(dataset: Write) -> None:
    by_share = MANIFEST.replace('"2024-01-03"', "0.2").replace('"2024-01-04"', "0.3")

    report, _ = checked(dataset(by_share))

    assert report.events is not None
    assert report.events.splits == {"train": 2, "validation": 1, "test": 1}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"items__csv": "sku,name,price\n1,a,1\n2,b,2\n"},
            'items.csv must have a column "title". Got sku, name, price',
        ),
        ({"items__csv": "sku,title,price\n"}, "The table of items must have at least 2 rows. Got 0 in"),
        (
            {"items__csv": "sku,title,price\n001,a,1\n"},
            "The table of items must have at least 2 rows. Got 1 in",
        ),
        (
            {"events__csv": "user,sku,at\nu1,001,0\n"},
            "The table of events must have at least 2 rows. Got 1 in",
        ),
        ({"events__csv": ""}, "events.csv must have a header and rows"),
        (
            {"items__csv": ITEMS + "001,Again,1\n"},
            'items.csv, row 4: column "sku" must not repeat an id. Got "001"',
        ),
        (
            {"items__csv": ITEMS.replace("9.5", "-9.5")},
            'row 1: column "price" must be at least 0. Got "-9.5"',
        ),
        ({"items__csv": ITEMS.replace("Red lamp", "")}, 'row 1: column "title" must have text'),
        (
            {"items__csv": ITEMS.replace("9.5", "nan")},
            'row 1: column "price" must be a finite number. Got "nan"',
        ),
        (
            {"events__csv": EVENTS + "u1,999,2024-01-02\n"},
            'row 5: column "sku" must be an id of the table of items',
        ),
        (
            {"events__csv": EVENTS + "u1,001,yesterday\nu1,001,never\nu1,001,1\nu1,001,\nu1,001,x\n"},
            'rows 5, 6, 8: column "at" must be ISO 8601 or epoch seconds. Got "yesterday", "never", "", …',
        ),
        (
            {"events__csv": "user,sku,at\nu1,001,2024-01-01\nu1,002,2024-01-02\n"},
            "events of a weight above 0 in each of train, validation, test. Got none in validation: events",
        ),
        (
            {"events__csv": "user,sku,at\nu1,999,2024-01-01\nu1,999,2024-01-02\n"},
            'must be an id of the table of items. Got "999" (2 of 2 rows, limits.orphan_events allows 0.01)',
        ),
        ({"events__csv": "user,sku,at,purchase\nu1,001,1,1\n"}, 'write kind = { column = "purchase" }'),
    ],
)
def test_bad_data_stops_with_its_place(dataset: Write, files: dict[str, str], sentence: str) -> None:
    with pytest.raises(DataError) as error:
        checked(dataset(**files))

    assert sentence in str(error.value)


def test_missing_file_is_named_before_anything_is_read(dataset: Write) -> None:
    folder = dataset(items__csv="broken")
    (folder / "events.csv").unlink()

    with pytest.raises(DataError, match=r"Got none at .*events\.csv"):
        checked(folder)


def test_orphans_within_the_limit_are_reported_and_left_out(dataset: Write) -> None:
    folder = dataset(
        MANIFEST + "[limits]\norphan_events = 0.2\n",
        events__csv=EVENTS + "u1,999,2024-01-02\nu3,001,2024-01-01\n",
    )

    report, summary = checked(folder)

    assert report.events is not None
    assert sum(report.events.splits.values()) == 5
    assert [(f.rule, f.count) for f in report.findings.findings] == [
        ("orphan_events", 1),
        ("orphan_users", 1),
    ]
    assert 'row 5: column "sku" must be an id of the table of items. Got "999"' in summary


def test_summary_is_printed_even_if_the_data_is_refused(dataset: Write) -> None:
    stream = io.StringIO()

    with pytest.raises(DataError):
        check_dataset(load_manifest(dataset(items__csv=ITEMS + "001,Again,1\n")), stream=stream)

    assert "duplicate_items" in stream.getvalue()


def test_repeated_id_of_a_second_file_is_named_there(dataset: Write) -> None:
    folder = dataset(MANIFEST.replace('"items.csv"', '["items.csv", "more.csv"]'), more__csv=ITEMS)

    with pytest.raises(DataError, match=r"more\.csv, rows 1, 2, 3: column \"sku\" must not repeat an id"):
        checked(folder)


def test_judgments_are_split_by_query(dataset: Write) -> None:
    report, _ = checked(dataset(JUDGED, qrels__csv=QRELS))

    assert report.judgments is not None
    assert report.judgments.num_queries == sum(report.judgments.splits.values()) == 20
    assert report.judgments.num_items == 2


def test_too_few_queries_for_every_split_is_refused(dataset: Write) -> None:
    with pytest.raises(DataError, match="must leave queries in each of train, validation, test"):
        checked(dataset(JUDGED, qrels__csv="query,sku,grade\nlamp,001,1\nlamp,002,0\n"))


def test_query_in_two_splits_is_refused(dataset: Write) -> None:
    manifest = JUDGED + 'split = "part"\n'
    qrels = "query,sku,grade,part\nlamp,001,1,train\nlamp,002,0,test\n"

    with pytest.raises(DataError, match=r'must put a query into one split\. Got "lamp" in'):
        checked(dataset(manifest, qrels__csv=qrels))


@pytest.mark.parametrize(
    "name",
    [
        *("items.tsv", "items.csv.gz", "items.jsonl", "items.parquet", "part-*.csv"),
        *("items.csv.zip", "items.zip", "items.xlsx"),
    ],
)
def test_every_format_gives_the_same_report(dataset: Write, name: str) -> None:
    folder = dataset(MANIFEST.replace("items.csv", name))
    header, *rows = [line.split(",") for line in ITEMS.splitlines()]
    table = pa.table({column: [row[i] for row in rows] for i, column in enumerate(header)})
    if name == "items.tsv":
        (folder / name).write_text(ITEMS.replace(",", "\t"))
    elif name == "items.csv.gz":
        (folder / name).write_bytes(gzip.compress(ITEMS.encode()))
    elif name == "items.jsonl":
        table.to_pandas().to_json(folder / name, orient="records", lines=True)
    elif name == "items.parquet":
        pq.write_table(table, folder / name)
    elif name == "items.xlsx":
        table.to_pandas().to_excel(folder / name, index=False)
    elif name.endswith(".zip"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("items.csv", ITEMS)
    else:
        for i, row in enumerate(rows):
            (folder / f"part-{i}.csv").write_text(",".join(header) + "\n" + ",".join(row) + "\n")

    report, _ = checked(folder)

    expected, _ = checked(dataset())
    assert _without_time(report) == _without_time(expected)


def _without_time(report: Report) -> Report:
    return dataclasses.replace(report, seconds=0.0, lines={})


def test_manifest_made_in_memory_is_checked_too(dataset: Write) -> None:
    manifest = load_manifest(dataset())
    items = ItemsTable(path=("items.csv",), id="sku", text=("title",), numeric={})

    report = check_dataset(
        Manifest(
            name="tiny", folder=manifest.folder, items=items, events=manifest.events, split=manifest.split
        ),
        stream=io.StringIO(),
    )

    assert report.num_users is None


def test_spans_are_read_and_named(dataset: Write) -> None:
    manifest = MANIFEST.replace('"events.csv"', '"events-{SPAN}.csv"').replace(
        '"items.csv"', '"items-{SPAN}.csv"'
    )
    first, *rest = EVENTS.splitlines(keepends=True)
    folder = dataset(manifest)
    for span, rows in enumerate((rest[:2], rest[2:])):
        (folder / f"events-{span}.csv").write_text(first + "".join(rows))
        (folder / f"items-{span}.csv").write_text(ITEMS if span else "sku,title,price\n")
    printed = io.StringIO()

    report = check_dataset(load_manifest(folder), stream=printed)

    assert report.num_items == 3
    assert report.events is not None
    assert sum(report.events.splits.values()) == 4
    assert "2 spans, 0 to 1" in printed.getvalue()
    assert "text title; span 1" in printed.getvalue()


def test_items_alone_are_checked_by_the_same_rules(dataset: Write) -> None:
    folder = dataset(events__csv="broken", items__csv=ITEMS + "001,Again,1\n")

    with pytest.raises(DataError, match="not repeat an id"):
        check_items(load_manifest(folder), stream=io.StringIO())


def test_semicolons_and_decimal_commas_are_read_and_said(dataset: Write) -> None:
    rows = ["001;Red lamp, big;9,50", "002;Blue lamp;", "003;Old chair;1.240,00", "004;Mug;3.25"]
    items = "\n".join(["\ufeffsku;title;price", *rows])

    report, summary = checked(dataset(items__csv=items))

    assert report.num_items == 4
    assert "; semicolons between values and decimal commas" in summary
    assert "no findings" in summary


def test_sheet_that_is_read_of_several_is_said(dataset: Write) -> None:
    folder = dataset(MANIFEST.replace("items.csv", "items.xlsx"))
    header, *rows = [line.split(",") for line in ITEMS.splitlines()]
    with pd.ExcelWriter(folder / "items.xlsx") as book:
        pd.DataFrame(rows, columns=header).to_excel(book, sheet_name="Shop", index=False)
        pd.DataFrame({"note": ["old"]}).to_excel(book, sheet_name="Notes", index=False)

    report, summary = checked(folder)

    assert report.num_items == 3
    assert 'sheet "Shop", the first of 2' in summary


def test_decimal_comma_without_semicolons_is_no_number(dataset: Write) -> None:
    with pytest.raises(DataError, match=r'column "price" must be a finite number. Got "9,5"'):
        checked(dataset(items__csv=ITEMS.replace("9.5", '"9,5"')))


@pytest.mark.parametrize("end", ["\n", ""])
def test_lines_stand_beside_the_rows_that_are_read_of_them(dataset: Write, end: str) -> None:
    items = 'sku,title,price\n001,"Red\nlamp",9.5\n\n002,Blue lamp,\r\n003,Old chair,40' + end

    _, summary = checked(dataset(items__csv=items))

    assert "text title; 3 rows of 6 lines" in summary
    assert "4 rows of 5 lines" in summary


def test_lines_of_json_and_of_several_files_are_counted(dataset: Write) -> None:
    header, *rows = EVENTS.splitlines(keepends=True)
    manifest = MANIFEST.replace('"events.csv"', '["events.csv", "more.csv"]').replace(
        "items.csv", "items.jsonl"
    )
    rows_of_items = [f'{{"sku": "00{number}", "title": "x", "price": 1}}\n' for number in (1, 2, 3)]
    items = "\n".join(rows_of_items).rstrip()

    _, summary = checked(
        dataset(
            manifest,
            items__jsonl=items,
            events__csv=header + "".join(rows[:1]),
            more__csv=header + "".join(rows[1:]),
        )
    )

    assert "3 rows of 5 lines" in summary
    assert "4 rows of 6 lines" in summary


def test_query_id_with_two_texts_is_named(dataset: Write) -> None:
    manifest = JUDGED.replace(
        'path = "qrels.csv"', 'path = "qrels.csv"\nqueries = "queries.csv"\nquery_id = "qid"'
    )
    queries = "qid,query\n" + "".join(f"{n},lamp {n}\n" for n in range(20)) + "3,lamp 3\n4,another\n"
    judged = "qid,sku,grade\n" + "".join(f"{n},001,1\n{n},002,0\n" for n in range(20))

    with pytest.raises(
        DataError, match=r'queries\.csv, row 22: column "qid" must not repeat an id with another'
    ):
        checked(dataset(manifest, queries__csv=queries, qrels__csv=judged))


def test_items_that_are_available_now_are_counted(dataset: Write) -> None:
    header, *rows = ITEMS.splitlines()
    ends = ["2001-01-01,yes", "9999-12-31,yes", ",no"]
    items = [f"{header},until,stock", *(f"{row},{end}" for row, end in zip(rows, ends, strict=True))]
    columns = 'available_until = "until"\navailability = "stock"\n[users]'

    report, printed = checked(dataset(MANIFEST.replace("[users]", columns), items__csv="\n".join(items)))

    assert report.num_listed == 1
    assert "; 1 available now" in printed
    assert checked(dataset())[0].num_listed is None
