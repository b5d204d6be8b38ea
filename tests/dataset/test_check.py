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


def _check(folder: Path) -> tuple[Report, str]:
    stream = io.StringIO()
    report = check_dataset(load_manifest(folder), stream=stream)
    return report, stream.getvalue()


def test_online_retail_sample_is_whole() -> None:
    report, summary = _check(SAMPLES / "online_retail")

    (repeated,) = report.findings.findings
    # Two lines of one invoice may name one article.
    assert (repeated.rule, repeated.count) == ("duplicate_events", 1337)
    assert (report.num_items, report.num_users) == (2095, 699)
    assert report.events is not None
    assert sum(report.events.splits.values()) == 67640
    assert "within its limit of 100.00%" in summary


def test_shopping_queries_sample_is_whole() -> None:
    report, _ = _check(SAMPLES / "shopping_queries")

    # Amazon's sellers wrote some HTML.
    counts = {finding.column: finding.count for finding in report.findings.findings}
    assert {finding.rule for finding in report.findings.findings} == {"markup"}
    assert counts == {"title": 6, "bullet_points": 11, "description": 3}
    assert report.judgments is not None
    assert report.judgments.num_queries == 40
    assert min(report.judgments.splits.values()) >= 5


def test_report_counts_what_can_be_used(dataset: Write) -> None:
    report, summary = _check(dataset())

    assert report.events is not None
    assert report.events.splits == {"train": 2, "validation": 1, "test": 1}
    assert (report.events.num_users, report.events.num_items) == (2, 3)
    assert report.events.kinds == {"purchase": 4}
    assert "no findings" in summary
    assert "2024-01-03" in summary


def test_repeated_events_are_counted_with_their_rows(dataset: Write) -> None:
    again = "u1,001,2024-01-01\nu2,001,2024-01-01\nu1,001,2024-01-01T00:00:00Z\nu1,001,2024-01-02\n"

    report, summary = _check(dataset(events__csv=EVENTS + again))

    (finding,) = report.findings.findings
    assert (finding.rule, finding.count) == ("duplicate_events", 2)
    assert 'rows 5, 7: column "sku" must not repeat the user, item, time and kind' in summary
    assert 'Got "as in row 1"' in summary
    assert report.events is not None
    assert sum(report.events.splits.values()) == 8


def test_repeated_judgments_are_counted_and_contradicting_ones_named(dataset: Write) -> None:
    again = "query 3,001,1\nquery 3,002,0\nquery 4,001,0.5\nquery 4,001,0.5\n"

    report, summary = _check(dataset(JUDGED, qrels__csv=QRELS + again))

    counts = {finding.rule: finding.count for finding in report.findings.findings}
    assert counts == {"duplicate_judgments": 4, "contradicting_judgments": 2}
    assert 'column "grade" must give a query and item one grade' in summary
    assert 'Got "0.5, and 1 in row 9"' in summary


def test_judgments_that_contradict_each_other_too_often_stop_the_run(dataset: Write) -> None:
    with pytest.raises(DataError, match=r"limits\.contradicting_judgments allows 0\.05"):
        _check(dataset(JUDGED, qrels__csv=QRELS + "".join(f"query {n},001,0\n" for n in range(9))))


def test_shares_of_time_are_counted_like_dates(dataset: Write) -> None:
    by_share = MANIFEST.replace('"2024-01-03"', "0.2").replace('"2024-01-04"', "0.3")

    report, _ = _check(dataset(by_share))

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
        _check(dataset(**files))

    assert sentence in str(error.value)


def test_missing_file_is_named_before_anything_is_read(dataset: Write) -> None:
    folder = dataset(items__csv="broken")
    (folder / "events.csv").unlink()

    with pytest.raises(DataError, match=r"Got none at .*events\.csv"):
        _check(folder)


def test_orphans_within_the_limit_are_reported_and_left_out(dataset: Write) -> None:
    folder = dataset(
        MANIFEST + "[limits]\norphan_events = 0.2\n",
        events__csv=EVENTS + "u1,999,2024-01-02\nu3,001,2024-01-01\n",
    )

    report, summary = _check(folder)

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
        _check(folder)


def test_judgments_are_split_by_query(dataset: Write) -> None:
    report, _ = _check(dataset(JUDGED, qrels__csv=QRELS))

    assert report.judgments is not None
    assert report.judgments.num_queries == sum(report.judgments.splits.values()) == 20
    assert report.judgments.num_items == 2


def test_too_few_queries_for_every_split_is_refused(dataset: Write) -> None:
    with pytest.raises(DataError, match="must leave queries in each of train, validation, test"):
        _check(dataset(JUDGED, qrels__csv="query,sku,grade\nlamp,001,1\nlamp,002,0\n"))


def test_query_in_two_splits_is_refused(dataset: Write) -> None:
    manifest = JUDGED + 'split = "part"\n'
    qrels = "query,sku,grade,part\nlamp,001,1,train\nlamp,002,0,test\n"

    with pytest.raises(DataError, match=r'must put a query into one split\. Got "lamp" in'):
        _check(dataset(manifest, qrels__csv=qrels))


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

    report, _ = _check(folder)

    expected, _ = _check(dataset())
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


@pytest.mark.parametrize("times", ["1 2 3 4", "2020 2021 2022 2023", "44927.5 44928 44929 44930"])
def test_log_that_counts_days_or_years_is_refused_by_value(dataset: Write, times: str) -> None:
    rows = [f"u1,00{n % 3 + 1},{time}\n" for n, time in enumerate(times.split())]
    sentence = (
        rf'rows 1, 2, 3: column "at" must be from 1973 to 2099 .+ Got "{times.split()[0]}", .+\(4 of 4 rows'
    )

    with pytest.raises(DataError, match=sentence):
        _check(dataset(events__csv="user,sku,at\n" + "".join(rows)))


def test_log_that_mixes_scales_is_refused_by_value(dataset: Write) -> None:
    with pytest.raises(DataError, match=r'row 5: column "at" must be from 1973 .+ Got "19374"'):
        _check(dataset(events__csv=EVENTS + "u1,001,19374\nu1,001,1673740800\n"))


def test_compact_dates_and_milliseconds_are_times(dataset: Write) -> None:
    days = ["20240101", "1704153600000", "20240103", "20240104"]
    events = "".join(f"u{n % 2 + 1},00{n % 3 + 1},{day}\n" for n, day in enumerate(days))

    report, _ = _check(dataset(events__csv="user,sku,at\n" + events))

    assert report.events is not None
    assert (report.events.first_time, report.events.last_time) == (1704067200, 1704326400)


def test_user_who_is_a_word_for_missing_is_a_finding_with_its_share(dataset: Write) -> None:
    folder = dataset(events__csv=EVENTS + "nan,003,2024-01-02\n")

    with pytest.raises(DataError, match=r'row 5: column "user" must hold an id. Got "nan" \(1 of 5 rows'):
        _check(folder)


def test_kind_that_the_manifest_writes_with_a_point_is_known(dataset: Write) -> None:
    manifest = MANIFEST.replace('"purchase"', '{ column = "kind", kinds = { "4.0" = 1.0, "5" = 2.0 } }')
    header, *rows = EVENTS.splitlines()
    events = [
        f"{header},kind",
        *(f"{row},{kind}" for row, kind in zip(rows, ["4.0", "5.0"] * 2, strict=True)),
    ]

    report, _ = _check(dataset(manifest, events__csv="\n".join(events) + "\n"))

    assert report.findings.findings == ()
    assert report.events is not None
    assert report.events.kinds == {"4": 2, "5": 2}


def test_semicolons_and_decimal_commas_are_read_and_said(dataset: Write) -> None:
    rows = ["001;Red lamp, big;9,50", "002;Blue lamp;", "003;Old chair;1.240,00", "004;Mug;3.25"]
    items = "\n".join(["\ufeffsku;title;price", *rows])

    report, summary = _check(dataset(items__csv=items))

    assert report.num_items == 4
    assert "; semicolons between values and decimal commas" in summary
    assert "no findings" in summary


def test_sheet_that_is_read_of_several_is_said(dataset: Write) -> None:
    folder = dataset(MANIFEST.replace("items.csv", "items.xlsx"))
    header, *rows = [line.split(",") for line in ITEMS.splitlines()]
    with pd.ExcelWriter(folder / "items.xlsx") as book:
        pd.DataFrame(rows, columns=header).to_excel(book, sheet_name="Shop", index=False)
        pd.DataFrame({"note": ["old"]}).to_excel(book, sheet_name="Notes", index=False)

    report, summary = _check(folder)

    assert report.num_items == 3
    assert 'sheet "Shop", the first of 2' in summary


def test_decimal_comma_without_semicolons_is_no_number(dataset: Write) -> None:
    with pytest.raises(DataError, match=r'column "price" must be a finite number. Got "9,5"'):
        _check(dataset(items__csv=ITEMS.replace("9.5", '"9,5"')))


@pytest.mark.parametrize("end", ["\n", ""])
def test_lines_stand_beside_the_rows_that_are_read_of_them(dataset: Write, end: str) -> None:
    items = 'sku,title,price\n001,"Red\nlamp",9.5\n\n002,Blue lamp,\r\n003,Old chair,40' + end

    _, summary = _check(dataset(items__csv=items))

    assert "text title; 3 rows of 6 lines" in summary
    assert "4 rows of 5 lines" in summary


def test_lines_of_json_and_of_several_files_are_counted(dataset: Write) -> None:
    header, *rows = EVENTS.splitlines(keepends=True)
    manifest = MANIFEST.replace('"events.csv"', '["events.csv", "more.csv"]').replace(
        "items.csv", "items.jsonl"
    )
    rows_of_items = [f'{{"sku": "00{number}", "title": "x", "price": 1}}\n' for number in (1, 2, 3)]
    items = "\n".join(rows_of_items).rstrip()

    _, summary = _check(
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
        _check(dataset(manifest, queries__csv=queries, qrels__csv=judged))


def test_impressions_are_counted_by_kind_and_are_in_no_split(dataset: Write) -> None:
    manifest = MANIFEST.replace('"purchase"', '{ column = "what", kinds = { buy = 1, shown = 0, bad = -1 } }')
    header, *rows = EVENTS.splitlines()
    bought = "".join(f"{row},buy\n" for row in rows)
    events = f"{header},what\n{bought}u1,001,2024-01-04,shown\nu2,001,2024-01-03,bad\n"

    report, summary = _check(dataset(manifest, events__csv=events))

    assert report.events is not None
    assert report.events.kinds == {"buy": 4, "shown": 1, "bad": 1}
    assert report.events.splits == {"train": 2, "validation": 1, "test": 1}
    assert "events                   6" in summary
    with pytest.raises(DataError, match="Got none in test"):
        _check(
            dataset(manifest, events__csv=events.replace("u2,001,2024-01-04,buy", "u2,001,2024-01-04,bad"))
        )


def test_log_of_sessions_says_that_nobody_of_the_test_window_has_a_past(dataset: Write) -> None:
    """Each user is a session of three events within the hour."""
    manifest = MANIFEST.replace('"2024-01-03"', "0.15").replace('"2024-01-04"', "0.15")
    log = [f"s{n},00{1 + (n + i) % 3},2024-01-{n + 1:02} 10:0{i}\n" for n in range(20) for i in range(3)]

    events = "user,sku,at\n" + "".join(log)

    report, summary = _check(dataset(manifest, events__csv=events))

    assert report.events is not None
    assert (report.events.num_test_users, report.events.num_measured) == (3, 0)
    (finding,) = (f for f in report.findings.findings if f.rule == "unmeasured_users")
    assert (finding.count, report.findings.share(finding)) == (3, 1.0)
    assert "0 of 3 users have a past" in summary
    assert "before the test window too, or recommendation cannot be measured; " in summary
    assert 'say session = "user" as well. Got none of 3 users' in summary
    with pytest.raises(DataError, match=r"limits\.unmeasured_users allows 0\.95"):
        _check(dataset(manifest + "[limits]\nunmeasured_users = 0.95\n", events__csv=events))

    by_session = manifest.replace('kind = "purchase"', 'kind = "purchase"\nsession = "user"')
    report, _ = _check(dataset(by_session, events__csv=events))

    assert report.events is not None
    assert (report.events.num_test_users, report.events.num_measured) == (3, 3)
    assert "unmeasured_users" not in {f.rule for f in report.findings.findings}


def test_users_with_a_past_are_those_who_chose_something_before(dataset: Write) -> None:
    manifest = MANIFEST.replace('"purchase"', '{ column = "what", kinds = { buy = 1, shown = 0 } }')
    events = "user,sku,at,what\nu1,001,2024-01-01,shown\nu2,002,2024-01-02,buy\nu1,003,2024-01-03,buy\n"
    events += "u1,001,2024-01-04,buy\nu2,001,2024-01-05,buy\nu3,001,2024-01-05,buy\nu4,001,2024-01-05,shown\n"

    report, _ = _check(dataset(manifest, events__csv=events))

    assert report.events is not None
    assert (report.events.num_test_users, report.events.num_measured) == (3, 2)
    assert [f.rule for f in report.findings.findings] == ["orphan_users"]
