"""What is read of a file is what its writer was given, or the file is refused by row."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset import delimited, json_lines
from dataset.errors import DataError
from dataset.tables import read_batches
from dataset.times import parse_times
from dataset.values import as_text

Table = dict[str, list[Any]]
Write = Callable[[Table, Path], None]

# Another day's run is the same run.
RANDOM_TABLES = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# What is a mark to one format or another, combines with others, or is several bytes or code units long.
PIECES = [
    *"ab7,;|\t'\"\\ =+@#",
    *("\n", "\r\n", '""', "ü", "e\u0301", "\u0301", "品", "😀", "👩\u200d👧"),
    *("\u2028", "\u00a0", "\x85", "\ufeff", "NA", "nan", "null", "1.0", "1e5", "0012", "<p>"),
]
LETTERS = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
TEXTS = st.lists(st.sampled_from(PIECES) | LETTERS, max_size=6).map("".join)
TIMES = st.datetimes(datetime.datetime(1975, 1, 1), datetime.datetime(2090, 1, 1))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "text or none": st.none() | TEXTS,
    "whole": st.integers(-99, 99) | st.integers(-(10**15) + 1, 10**15 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "huge": st.integers(-(10**25), 10**25),
    "decimal": st.decimals(-(10**9), 10**9, places=4),
    "float": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "time": TIMES.map(lambda time: time.replace(microsecond=0)),
    "truth": st.booleans(),
    "texts": st.none() | st.lists(st.none() | TEXTS, max_size=3),
}
# Of the names of columns; marks of all formats, and what programs make of several columns of one name.
ENDINGS = st.sampled_from(["", " ", "ü", '"q"', "a,b", "a;b", "'", "\u0301", ".1", "\nb"])


@st.composite
def tables(draw: st.DrawFn, kinds: list[str]) -> Table:
    """Up to six rows with an id each, and columns whose names begin with the kind of their values."""
    size = draw(st.integers(1, 6))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4, unique=True))
    values = {
        f"{kind}/{draw(ENDINGS)}": draw(st.lists(VALUES[kind], min_size=size, max_size=size))
        for kind in chosen
    }
    return {"id": [f"x{row}" for row in range(size)]} | values


def _rows(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def _csv_module(table: Table, path: Path, **options: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table), **options)
        writer.writeheader()
        writer.writerows(_rows(table))


def _tabs(table: Table, path: Path) -> None:
    # Values that hold tabs or ends of lines cannot be written without quotation.
    lines = [list(table), *zip(*table.values(), strict=True)]
    path.write_text("".join("\t".join(map(_in_one_line, line)) + "\n" for line in lines), "utf-8", newline="")


def _in_one_line(value: Any) -> str:
    return "" if value is None else " ".join(str(value).replace("\t", " ").splitlines())


def _pandas_csv(table: Table, path: Path, **options: Any) -> None:
    pd.DataFrame(table).to_csv(path, index=False, **options)


def _arrow_csv(table: Table, path: Path) -> None:
    pa.csv.write_csv(pa.table(table), path)


def _json_lines(table: Table, path: Path, *, ascii_only: bool) -> None:
    lines = [json.dumps(row, ensure_ascii=ascii_only, default=str) + "\n" for row in _rows(table)]
    path.write_text("".join(lines), encoding="utf-8", newline="")


def _json_array(table: Table, path: Path) -> None:
    path.write_text(json.dumps(_rows(table), indent=1, default=str))


def _pandas_json(table: Table, path: Path) -> None:
    pd.DataFrame(table).to_json(path, orient="records", lines=True, date_format="iso", double_precision=15)


def _parquet(table: Table, path: Path, text: pa.DataType, texts: pa.DataType) -> None:
    types = {"text": text, "texts": texts, "decimal": pa.decimal128(20, 4)}
    arrays = [pa.array(values, types.get(name.partition("/")[0])) for name, values in table.items()]
    pq.write_table(pa.table(arrays, names=list(table)), path)


def _pandas_parquet(table: Table, path: Path) -> None:
    pd.DataFrame(table).to_parquet(path)


def _workbook(table: Table, path: Path, engine: Any, **options: Any) -> None:
    with pd.ExcelWriter(path, engine=engine, engine_kwargs=options) as writer:
        pd.DataFrame(table).to_excel(writer, index=False)


AS_TEXTS = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
CSV = ["text", "text or none", "whole", "long", "huge", "decimal", "float", "time", "truth"]
JSON = ["text", "text or none", "whole", "long", "huge", "float", "time", "truth", "texts"]
PARQUET = ["text", "text or none", "whole", "long", "decimal", "float", "time", "truth", "texts"]
# A workbook has 15 digits of a number.
SHEET = ["text", "text or none", "whole", "float", "time", "truth"]
WRITERS: dict[str, tuple[str, list[str], Write]] = {
    "csv excel": (".csv", CSV, _csv_module),
    "csv unix": (".csv", CSV, lambda t, p: _csv_module(t, p, dialect="unix")),
    "csv, semicolons": (".csv", CSV, lambda t, p: _csv_module(t, p, delimiter=";")),
    "tabs": (".tsv", CSV, _tabs),
    "pandas": (".csv", CSV, _pandas_csv),
    "pandas, all quoted": (".csv", CSV, lambda t, p: _pandas_csv(t, p, quoting=csv.QUOTE_ALL)),
    "pandas, tabs": (".csv", CSV, lambda t, p: _pandas_csv(t, p, sep="\t")),
    "arrow": (".csv", [kind for kind in CSV if kind != "huge"], _arrow_csv),
    "json lines": (".jsonl", JSON, lambda t, p: _json_lines(t, p, ascii_only=False)),
    "json lines, escaped": (".jsonl", JSON, lambda t, p: _json_lines(t, p, ascii_only=True)),
    "json array": (".json", JSON, _json_array),
    "pandas json": (".jsonl", [kind for kind in JSON if kind != "huge"], _pandas_json),
    "parquet": (".parquet", PARQUET, lambda t, p: _parquet(t, p, pa.string(), pa.list_(pa.string()))),
    "parquet, large": (
        ".parquet",
        PARQUET,
        lambda t, p: _parquet(t, p, pa.large_string(), pa.large_list(pa.large_string())),
    ),
    "parquet, dictionary": (
        ".parquet",
        PARQUET,
        lambda t, p: _parquet(t, p, pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.string())),
    ),
    "pandas parquet": (".parquet", PARQUET, _pandas_parquet),
    "openpyxl": (".xlsx", SHEET, lambda t, p: _workbook(t, p, "openpyxl")),
    "xlsxwriter": (".xlsx", SHEET, lambda t, p: _workbook(t, p, "xlsxwriter", **AS_TEXTS)),
}


def _packed(path: Path, packing: str) -> Path:
    content = path.read_bytes()
    if packing == "gzip" and path.suffix not in (".parquet", ".xlsx"):
        path = path.with_name(f"{path.name}.gz")
        path.write_bytes(gzip.compress(content))
    elif packing == "zip":
        target = path.with_suffix(".zip")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, path.name)
        path = target
    return path


def _has_formula(table: Table) -> bool:
    """Whether openpyxl takes a text for a formula; it writes none's value."""
    texts = [value for values in table.values() for value in values if isinstance(value, str)]
    return any(len(text) > 1 and text.startswith("=") for text in texts)


def _trimmed(value: Any) -> str:
    return "" if value is None else str(pc.utf8_trim_whitespace(pa.scalar(str(value))).as_py())


def _require_same(kind: str, read: list[pa.Array], written: list[Any], in_one_line: bool) -> None:
    texts = [text or "" for column in read for text in as_text(column).to_pylist()]
    if kind == "time":
        seconds = [second for column in read for second in parse_times(column).seconds.tolist()]
        assert seconds == [int(time.replace(tzinfo=datetime.UTC).timestamp()) for time in written]
    elif kind == "truth":
        assert [text.lower() for text in texts] == [str(value).lower() for value in written]
    elif kind == "decimal":
        assert list(map(decimal.Decimal, texts)) == written
    elif kind == "float":
        assert [np.float32(text) for text in texts] == [np.float32(value) for value in written]
    elif kind == "texts":
        assert texts == [" ".join(filter(None, map(_trimmed, value or []))) for value in written]
    else:
        shape = _in_one_line if in_one_line else lambda value: value
        assert texts == [_trimmed(shape(value)) for value in written]


@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_read_is_what_was_written(
    tmp_path: Path, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, kinds, write = WRITERS[writer]

    @RANDOM_TABLES
    @given(
        table=tables(kinds),
        packing=st.sampled_from(["", "gzip", "zip"]),
        block_bytes=st.sampled_from([200, 307, 1 << 20]),
        batch_rows=st.sampled_from([1, 3, 100]),
    )
    def is_read(table: Table, packing: str, block_bytes: int, batch_rows: int) -> None:
        for module in (delimited, json_lines):
            monkeypatch.setattr(module, "_BLOCK_BYTES", block_bytes)
        write(table, tmp_path / f"t{suffix}")
        path = _packed(tmp_path / f"t{suffix}", packing)
        if writer == "openpyxl" and _has_formula(table):
            with pytest.raises(
                DataError, match=r"t\.\w+, row \d of the sheet: a formula must have its value"
            ):
                list(read_batches(str(path), batch_rows=batch_rows))
            return
        batches = [batch for _, batch in read_batches(str(path), batch_rows=batch_rows)]
        names = [_in_one_line(name) for name in table] if writer == "tabs" else list(table)
        for name, (key, values) in zip(names, table.items(), strict=True):
            _require_same(
                key.partition("/")[0],
                [batch.column(name) for batch in batches],
                values,
                in_one_line=writer == "tabs",
            )

    is_read()
