from __future__ import annotations

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
import xlsxwriter

from dataset.errors import DataError
from dataset.tables import column_names, read_batches, reading_note

HEADER = ["sku", "title", "price", "at"]
DAY = datetime.datetime(2023, 1, 15)


def _rows(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [row for _, batch in read_batches(str(path), **options) for row in batch.to_pylist()]


def _write(path: Path, *rows: list[Any], sheets: tuple[str, ...] = ()) -> Path:
    book = openpyxl.Workbook()
    book.active.title = "Items"
    for row in rows:
        book.active.append(row)
    for title in sheets:
        book.create_sheet(title).append(["other"])
    book.save(path)
    return path


def _replace(path: Path, part: str, old: str, new: str) -> None:
    """Edits a part of a workbook, as programs other than openpyxl write it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old.encode() in parts[part]
    parts[part] = parts[part].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_cells_are_read_as_csv_would_have_them(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "t.xlsx",
        HEADER,
        ["00123", "lamp", 12.5, DAY],
        [1000.0, True, 1e-3, DAY.replace(hour=9, minute=35, second=7)],
        [12471, None, "#N/A", datetime.date(2023, 1, 15)],
    )

    assert _rows(path) == [
        {"sku": "00123", "title": "lamp", "price": "12.5", "at": "2023-01-15"},
        {"sku": "1000", "title": "true", "price": "0.001", "at": "2023-01-15T09:35:07"},
        {"sku": "12471", "title": "", "price": "#N/A", "at": "2023-01-15"},
    ]
    assert column_names(str(path)) == HEADER


def test_every_second_of_a_day_is_read_as_it_was_written(tmp_path: Path) -> None:
    times = [DAY + datetime.timedelta(seconds=second) for second in range(0, 86_400, 617)]
    path = _write(tmp_path / "t.xlsx", ["at"], *([time] for time in times))

    read = [datetime.datetime.fromisoformat(row["at"]) for row in _rows(path)]

    assert read == times


def test_workbook_as_excel_writes_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path, {"default_date_format": 'd "Uhr" mmm yyyy'}) as book:
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True})
        formats = [
            book.add_format({"num_format": code}) for code in ("00000", "[h]:mm", "[Red]0.00", "[$-407]h:mm")
        ]
        # Texts that come again are shared; those of several looks are in pieces.
        for row, title in enumerate(["title", "lamp", "", "lamp"]):
            sheet.write(row, 0, title)
        sheet.write_rich_string(2, 0, "a ", bold, "bold", " lamp ")
        sheet.write_row(0, 1, ["code", "lasts", "price", "opens", "at", "double"])
        for column, (value, format_) in enumerate(zip((42, 1.5, 0.1, 0.25), formats, strict=True), start=1):
            sheet.write(1, column, value, format_)
        sheet.write_datetime(1, 5, DAY)
        sheet.write_formula(1, 6, "=2*D2", value=0.6)

    assert [row["title"] for row in _rows(path)] == ["lamp", "a bold lamp ", "lamp"]
    assert list(_rows(path)[0].values())[1:] == [*("00042", "1.5", "0.1", "06:00:00", "2023-01-15", "0.6")]


@pytest.mark.parametrize("begins_1904", [False, True])
@pytest.mark.parametrize(
    "day", [datetime.date(1900, 1, 1), datetime.date(1900, 3, 1), datetime.date(2024, 2, 29)]
)
def test_days_are_those_of_the_workbooks_calendar(
    tmp_path: Path, day: datetime.date, begins_1904: bool
) -> None:
    if begins_1904:
        day = day.replace(year=day.year + 8)
    with xlsxwriter.Workbook(tmp_path / "t.xlsx", {"date_1904": begins_1904}) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "at")
        sheet.write_datetime(1, 0, day, book.add_format({"num_format": "dd.mm.yyyy"}))

    assert _rows(tmp_path / "t.xlsx") == [{"at": day.isoformat()}]


def test_signs_that_say_how_a_text_is_spoken_are_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet().write_column(0, 0, ["title", "課"])
    _replace(path, "xl/sharedStrings.xml", "<t>課</t>", '<t>課</t><rPh sb="0" eb="1"><t>か</t></rPh>')

    assert _rows(path) == [{"title": "課"}]


def test_table_of_pandas_with_missing_whole_numbers_has_them_without_a_point(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [12471, None, 7], "at": [DAY, pd.NaT, DAY]})
    frame.to_excel(tmp_path / "t.xlsx", index=False)

    assert [row["user"] for row in _rows(tmp_path / "t.xlsx")] == ["12471", "7"]


def test_blank_rows_are_no_rows_and_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "t.xlsx",
        [],
        ["sku", None, "title"],
        ["1", "note", "lamp"],
        [],
        [None, "beside the table"],
        ["2", None, None, "beyond it"],
        ["", None, ""],
        [],
    )

    batches = [(first, batch.to_pylist()) for first, batch in read_batches(str(path), batch_rows=1)]

    assert batches == [(1, [{"sku": "1", "title": "lamp"}]), (2, [{"sku": "2", "title": ""}])]


def test_size_that_a_writer_gets_wrong_is_not_believed(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.xlsx", ["sku", "title"], ["1", "lamp"])
    _replace(path, "xl/worksheets/sheet1.xml", 'ref="A1:B2"', 'ref="A1"')

    assert _rows(path) == [{"sku": "1", "title": "lamp"}]


def test_first_sheet_that_is_not_hidden_is_read_and_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.xlsx", ["sku"], ["1"], sheets=("Prices", "Old"))
    book = openpyxl.load_workbook(path)
    book["Items"].sheet_state = "hidden"
    book.active = 1
    book.save(path)

    assert _rows(path) == []
    assert column_names(str(path)) == ["other"]
    assert reading_note(str(path)) == 'sheet "Prices", the first of 2'


def test_one_sheet_needs_no_note(tmp_path: Path) -> None:
    assert reading_note(str(_write(tmp_path / "t.xlsx", ["sku"], ["1"]))) == ""


def test_formula_is_read_as_its_saved_value(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.xlsx", ["sku", "double", "text"], [2, "=A2*2", '=""'])
    _replace(path, "xl/worksheets/sheet1.xml", "<f>A2*2</f><v></v>", "<f>A2*2</f><v>4</v>")
    _replace(path, "xl/worksheets/sheet1.xml", '<c r="C2"><f>', '<c r="C2" t="str"><f>')

    assert _rows(path) == [{"sku": "2", "double": "4", "text": ""}]


def test_formula_that_nobody_has_computed_is_refused_if_it_is_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.xlsx", ["sku", "double"], [1, 2], [2, "=A3*2"])

    assert len(_rows(path, columns=["sku"])) == 2
    with pytest.raises(
        DataError, match=r"t\.xlsx, row 3 of the sheet: a formula must have its value.+Got =A3\*2 without"
    ):
        _rows(path)


def test_characters_that_excel_writes_by_their_numbers_are_themselves(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.xlsx", ["title"], ["lamp_x000D_\nred"], ["_x005F_x000D_"], ["cut _xD83D_"])

    assert [row["title"] for row in _rows(path)] == ["lamp\r\nred", "_x000D_", "cut \ufffd"]


def test_number_that_no_calendar_has_stays_a_number(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.xlsx", ["at"], [DAY])
    _replace(path, "xl/worksheets/sheet1.xml", "<v>44941</v>", "<v>99999999</v>")

    assert _rows(path) == [{"at": "99999999"}]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "must be a workbook that Excel opens. Got: an empty file;"),
        (b"sku,title\n1,lamp\n", "must be a workbook that Excel opens"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Got: a workbook with a password, or of Excel 2003 and before"),
    ],
)
def test_file_that_is_no_workbook_is_refused_with_a_way_out(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "t.xlsx").write_bytes(content)

    with pytest.raises(DataError, match=r"save its sheet as CSV UTF-8\.") as error:
        _rows(tmp_path / "t.xlsx")

    assert sentence in str(error.value)


def test_workbook_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.xlsx", *[["sku", "title"], *([str(row), "lamp"] for row in range(2000))])
    _replace(path, "xl/worksheets/sheet1.xml", "</sheetData>", "")

    with pytest.raises(DataError, match="must be a workbook that Excel opens"):
        _rows(path)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], 'must have a header and rows. Got an empty sheet "Items".'),
        ([["sku", "sku"], [1, 2]], 'must name each column once. Got "sku" twice.'),
        ([["sku", "title"], [1, 2]], 'must have a column "titel". Got sku, title; did you mean "title"?'),
    ],
)
def test_sheet_without_the_table_is_named(tmp_path: Path, rows: list[list[Any]], sentence: str) -> None:
    path = _write(tmp_path / "t.xlsx", *rows)

    with pytest.raises(DataError) as error:
        _rows(path, columns=["titel"])

    assert sentence in str(error.value)


def test_workbook_under_the_name_of_csv_is_told(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.xlsx", ["sku"], ["1"]).rename(tmp_path / "t.csv")

    with pytest.raises(DataError, match=r"Got an Excel workbook; name it \.xlsx, or save its sheet as CSV"):
        _rows(path)
    assert _rows(path, format="xlsx") == [{"sku": "1"}]
