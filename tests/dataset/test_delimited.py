from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import pytest

from dataset import delimited
from dataset.errors import DataError
from dataset.tables import column_names, read_batches

LOG = [f"u{i},{i:05},2023-01-01 00:00:{i:02},lamp" for i in range(30)]
HEADER = "user,sku,time,query"


def _rows(path: Path, content: str | bytes, **options: Any) -> list[dict[str, Any]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [row for _, batch in read_batches(str(path), **options) for row in batch.to_pylist()]


def _log(changed: dict[int, str], *, ends: str = "\n") -> str:
    """The log with the queries of some rows, counted from 1, replaced."""
    lines = [f"{row.removesuffix('lamp')}{changed.get(n, 'lamp')}" for n, row in enumerate(LOG, start=1)]
    return ends.join([HEADER, *lines, ""])


def test_quotation_mark_is_a_character_in_tsv(tmp_path: Path) -> None:
    content = _log({1: '"red lamp', 5: '5" screen', 9: '"red" lamp', 12: '"'}).replace(",", "\t")

    rows = _rows(tmp_path / "t.tsv", content)

    assert len(rows) == 30
    assert [rows[n]["query"] for n in (0, 4, 8, 11)] == ['"red lamp', '5" screen', '"red" lamp', '"']


def test_tsv_is_read_with_quotations_if_the_manifest_says_csv(tmp_path: Path) -> None:
    content = 'a\tb\n"x\ty"\t"say ""hi"""\n'

    assert _rows(tmp_path / "t.tsv", content, format="csv") == [{"a": "x\ty", "b": 'say "hi"'}]
    with pytest.raises(DataError, match=r'row 1: .+ Got 3; if its values are quoted .+ format = "csv"'):
        _rows(tmp_path / "t.tsv", content)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("columns", [None, ["user", "sku", "time"]])
@pytest.mark.parametrize(
    ("queries", "row", "got"),
    [
        ({11: '"red'}, 11, "does not close"),
        ({30: '"'}, 30, "does not close"),
        ({3: '"red lamp', 20: '"blue'}, 3, "runs over 17 ends of line into another value"),
        ({4: '"12"" plate', 9: '"red lamp"'}, 4, "runs over 5 ends of line into another value"),
        ({3: '"red lamp', 20: '5"'}, 3, "takes in 17 lines that are whole rows"),
        ({3: '"red lamp', 4: '5"'}, 3, "takes in 1 lines that are whole rows"),
        ({7: r'"12\" plate"'}, 7, "holds a mark after a backslash"),
    ],
)
def test_quotation_that_takes_in_more_than_its_value_is_named_with_its_row(
    tmp_path: Path, queries: dict[int, str], row: int, got: str, columns: list[str] | None, ends: str
) -> None:
    with pytest.raises(DataError, match=rf"t\.csv, row {row}: a quotation must close .+ which {got}"):
        _rows(tmp_path / "t.csv", _log(queries, ends=ends), columns=columns)


def test_quotation_is_found_whatever_the_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (64, 65, 66, 67, 200):
        monkeypatch.setattr(delimited, "_BLOCK_BYTES", size)
        with pytest.raises(DataError, match=r"row 11: .+ which does not close"):
            _rows(tmp_path / "t.csv", _log({11: '"red'}))
        assert len(_rows(tmp_path / "t.csv", _log({11: '"red\nlamp, ""big"""', 12: "\n\n"}))) == 30


def test_quotation_without_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 128)
    monkeypatch.setattr(delimited, "_MAX_ROW_BYTES", 256)

    with pytest.raises(DataError, match=r"row 2: .+ which does not close"):
        _rows(tmp_path / "t.csv", _log({2: '"red'}) * 2)
    with pytest.raises(DataError, match=r"row 2: a row must fit into .+ MiB"):
        _rows(tmp_path / "t.csv", _log({2: "red " * 200}))


@pytest.mark.parametrize(
    "text",
    [
        "First line\nsecond, with, commas\n\nlast",
        "cotton\nwool, silk, linen, hemp",
        'a ""mark"" in it\nand a line',
        "a, b, c\nd, e, f\ng, h, i",
        "\n",
        "",
    ],
)
def test_values_may_hold_lines_if_they_are_no_rows(tmp_path: Path, text: str) -> None:
    table = f'sku,title,price,text\n1,lamp,2.0,"{text}"\n2,"a mug",3.5,plain\n3,"5"" plate",3,""\n'

    rows = _rows(tmp_path / "t.csv", table)

    assert [row["text"] for row in rows] == [text.replace('""', '"'), "plain", ""]
    assert rows[2]["title"] == '5" plate'


def test_marks_inside_a_value_without_quotation_are_characters(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "t.csv", 'a,b\n5" screen,x\ny,3" and 4"\n')

    assert rows == [{"a": '5" screen', "b": "x"}, {"a": "y", "b": '3" and 4"'}]


def test_random_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    rng = random.Random(0)
    alphabet = ["a", "ü", "7", " ", '"', '""', ",", ";", "\t", "\n", "\r\n", "\\", "'", "|"]
    for _ in range(200):
        wanted = [
            {
                "id": f"x{n}",
                "b": "".join(rng.choices(alphabet, k=rng.randrange(9))),
                "c": "".join(rng.choices(alphabet, k=3)),
            }
            for n in range(8)
        ]
        text = io.StringIO(newline="")
        dialect = rng.choice(["excel", "unix"])
        writer = csv.DictWriter(text, ["id", "b", "c"], dialect=dialect)
        writer.writeheader()
        writer.writerows(wanted)

        assert _rows(tmp_path / "t.csv", text.getvalue()) == wanted


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
@pytest.mark.parametrize(
    "again", ["sku,title,brand\n", "\ufeffsku,title,brand\n", "sku,title,brand\r\n", "sku,title,brand"]
)
def test_repeated_header_is_named_with_its_row(tmp_path: Path, name: str, again: str) -> None:
    content = "sku,title,brand\n" + "1,lamp,x\n" * 24 + again
    content = content.replace(",", "\t") if name == "t.tsv" else content

    with pytest.raises(DataError, match=r"row 25: a row must not repeat the header"):
        _rows(tmp_path / name, content, columns=["sku"])


def test_row_that_holds_the_header_among_other_text_is_a_row(tmp_path: Path) -> None:
    assert len(_rows(tmp_path / "t.csv", "a,b\nxa,b\na,bx\na,B\n")) == 3
    assert _rows(tmp_path / "t.csv", "query\nlamp\nquery\n") == [{"query": "lamp"}, {"query": "query"}]


@pytest.mark.parametrize(
    ("delimiter", "name"), [(";", "t.csv"), ("\t", "t.csv"), ("|", "t.csv"), (",", "t.tsv")]
)
def test_delimiter_is_found(tmp_path: Path, delimiter: str, name: str) -> None:
    content = 'sku,title,price\n1,"a lamp",2\n2,mug,3\n'.replace(",", delimiter)

    assert _rows(tmp_path / name, "\ufeff" + content)[0] == {"sku": "1", "title": "a lamp", "price": "2"}


def test_delimiter_that_the_rows_have_is_preferred(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "t.csv", "sku;size, in cm;price\n1;20;1,50\n")

    assert rows == [{"sku": "1", "size, in cm": "20", "price": "1,50"}]


def test_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"

    assert _rows(path, "sku,,title,,\n1,x,lamp,,\n") == [{"sku": "1", "title": "lamp"}]
    assert column_names(str(path)) == ["sku", "title"]


def test_tsv_whose_header_is_quoted_is_quoted(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "t.tsv", '"sku"\t"title"\n"1"\t"a ""red"" lamp\twith tab"\n')

    assert rows == [{"sku": "1", "title": 'a "red" lamp\twith tab'}]


@pytest.mark.parametrize("before", ["sep=;\n", "\ufeffsep=;\r\n", "\ufeff\n\nSEP=;\n\n"])
def test_line_that_names_the_delimiter_is_no_header(tmp_path: Path, before: str) -> None:
    rows = _rows(tmp_path / "t.csv", before + "sku;a,b\n1;x,y\n2;z\n")

    assert rows == [{"sku": "1", "a,b": "x,y"}, {"sku": "2", "a,b": "z"}]
