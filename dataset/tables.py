"""Reading of tables, a batch at a time: CSV, TSV, JSON Lines and Parquet, plain or gzip."""

from __future__ import annotations

import csv
import glob
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from dataset.contract import FORMATS
from dataset.errors import DataError
from dataset.files import (
    OnBytes,
    damaged,
    is_remote,
    join,
    match_files,
    open_file,
    open_lines,
    open_text,
    shown,
)
from dataset.json_lines import json_batches
from dataset.section import nearest

_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
_DELIMITERS = {"csv": ",", "tsv": "\t"}
# A row must fit into one block; Arrow reads some two dozen ahead.
_BLOCK_BYTES = 2 << 20


def expand_paths(paths: Sequence[str], folder: str) -> list[str]:
    """The files that a table's paths stand for, each glob in order of name.

    Args:
        paths: As in the manifest.
        folder: What relative paths are relative to.

    Raises:
        DataError: A path has no file.
    """
    files: list[str] = []
    for path in paths:
        full = join(folder, path)
        # The folder is no glob, even if its name has brackets.
        is_glob = not is_remote(full) and not Path(full).is_file()
        found = match_files(join(glob.escape(folder), path) if is_glob else full)
        if not found:
            raise DataError(f"A table must have its files. Got none at {shown(full)}{_similar(full)}.")
        files.extend(found)
    return list(dict.fromkeys(files))


def table_format(path: str, override: str | None = None) -> str:
    """The format of a file: ``csv``, ``tsv``, ``jsonl`` or ``parquet``, by its suffix unless overridden.

    Raises:
        DataError: The suffix is not a known one.
    """
    if override is not None:
        return override
    suffix = Path(path.lower().removesuffix(".gz")).suffix
    if suffix not in _SUFFIXES:
        raise DataError(
            f"{shown(path)}: the format must be one of {', '.join(FORMATS)}. Got the suffix "
            f'"{suffix}"; add format = "…" to its table in the manifest.'
        )
    return _SUFFIXES[suffix]


def column_names(path: str, *, format: str | None = None) -> list[str]:
    """The names of a file's columns; of JSON Lines, those in its first block.

    Raises:
        DataError: The file cannot be read.
    """
    format_ = table_format(path, format)
    if format_ == "parquet":
        return list(_parquet(path).schema_arrow.names)
    if format_ == "jsonl":
        for _, batch in json_batches(path, 1000):
            return list(batch.schema.names)
        return []
    return _csv_names(path, format_)


def read_batches(
    path: str,
    *,
    columns: Sequence[str] | None = None,
    batch_rows: int = 65536,
    format: str | None = None,
    on_bytes: OnBytes | None = None,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Streams a table.

    Columns of CSV and TSV are all strings, so that an id like ``00123`` survives; JSON Lines and Parquet keep
    their types, which for JSON Lines may differ from batch to batch.

    Args:
        path: One file.
        columns: The columns to read, in this order; all when ``None``.
        batch_rows: The most rows in a batch.
        format: Overrides the suffix.
        on_bytes: Told of each read, see `files.open_file`.

    Yields:
        The number of the batch's first row, and the batch. Row 1 is the first row of data, after the header
        if there is one; blank lines do not count.

    Raises:
        DataError: The file is not what its format says, or lacks one of `columns`.
    """
    format_ = table_format(path, format)
    if format_ == "parquet":
        yield from _parquet_batches(path, columns, batch_rows, on_bytes)
    elif format_ == "jsonl":
        yield from _select(path, columns, json_batches(path, batch_rows, on_bytes))
    else:
        yield from _csv_batches(path, columns, batch_rows, format_, on_bytes)


def missing_column(path: str, column: str, names: Iterable[str]) -> DataError:
    """The error for a column that the manifest names and the file does not have."""
    names = list(names)
    close = nearest(column, names)
    hint = close if close.startswith("did") else ""
    listed = ", ".join(names[:30]) + (", …" if len(names) > 30 else "")
    return DataError(f'{shown(path)} must have a column "{column}". Got {listed}; {hint}'.rstrip("; "))


def _similar(path: str) -> str:
    folder = Path(path).parent
    if is_remote(path) or not folder.is_dir():
        return ""
    close = nearest(Path(path).name, [found.name for found in folder.iterdir()])
    return f"; {close.removesuffix('?')}" if close.startswith("did") else ""


# ---- Parquet


def _parquet(path: str, on_bytes: OnBytes | None = None) -> pa.parquet.ParquetFile:
    if path.lower().endswith(".gz"):
        raise DataError(
            f"{shown(path)} must be unpacked: Parquet compresses its columns itself. Got a .gz file."
        )
    try:
        return pa.parquet.ParquetFile(open_file(path, on_bytes))
    except pa.ArrowInvalid as error:
        raise damaged(path, error) from None


def _parquet_batches(
    path: str, columns: Sequence[str] | None, batch_rows: int, on_bytes: OnBytes | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    file = _parquet(path, on_bytes)
    names = list(file.schema_arrow.names)
    for column in columns or ():
        if column not in names:
            raise missing_column(path, column, names)
    first = 1
    try:
        for batch in file.iter_batches(batch_rows, columns=None if columns is None else list(columns)):
            yield first, batch if columns is None else batch.select(list(columns))
            first += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from None


# ---- CSV and TSV


def _csv_options(format_: str, bad_row: Callable[[Any], str]) -> dict[str, Any]:
    return {
        # Only a reader of one thread numbers the rows it finds fault with.
        "read_options": pa.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        "parse_options": pa.csv.ParseOptions(
            delimiter=_DELIMITERS[format_], newlines_in_values=True, invalid_row_handler=bad_row
        ),
    }


def _csv_names(path: str, format_: str) -> list[str]:
    # Not by Arrow: what it reads ahead is of no use here, and may outlive the interpreter, which then aborts.
    try:
        with io.TextIOWrapper(open_lines(path), encoding="utf-8-sig", newline="") as text:
            names = next(filter(None, csv.reader(text, delimiter=_DELIMITERS[format_])), None)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError, csv.Error) as error:
        raise _csv_error(path, format_, error) from None
    if names is None:
        raise DataError(f"{shown(path)} must have a header and rows. Got an empty file.")
    for name in names:
        if names.count(name) > 1:
            raise DataError(f'{shown(path)} must name each column once. Got "{name}" twice.')
    return names


def _csv_batches(
    path: str, columns: Sequence[str] | None, batch_rows: int, format_: str, on_bytes: OnBytes | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    names = _csv_names(path, format_)
    wanted = names if columns is None else list(columns)
    for column in wanted:
        if column not in names:
            raise missing_column(path, column, names)
    ragged: list[Any] = []

    def bad_row(row: Any) -> str:
        ragged.append(row)
        return "error"

    convert = pa.csv.ConvertOptions(
        column_types={name: pa.string() for name in wanted}, include_columns=wanted, strings_can_be_null=False
    )
    first = 1
    try:
        with (
            open_text(path, on_bytes) as stream,
            pa.csv.open_csv(stream, convert_options=convert, **_csv_options(format_, bad_row)) as reader,
        ):
            for block in reader:
                for start in range(0, block.num_rows, batch_rows):
                    batch = block.slice(start, batch_rows)
                    yield first, batch
                    first += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        if ragged:
            row = ragged[0]
            where = f"row {row.number - 1}" if row.number is not None else f'the row "{row.text[:60]}"'
            raise DataError(
                f"{shown(path)}, {where}: a row must have {row.expected_columns} values as the header has. "
                f"Got {row.actual_columns}."
            ) from None
        raise _csv_error(path, format_, error) from None


def _csv_error(path: str, format_: str, error: Exception) -> DataError:
    if "utf8" not in str(error).lower().replace("-", ""):
        return damaged(path, error)
    with open_lines(path) as lines:
        for number, line in enumerate(lines):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as bad:
                got = line[max(0, bad.start - 20) : bad.start + 20]
                where = f"row {number}" if number else "header"
                return DataError(f"{shown(path)}, {where}: text must be UTF-8. Got {got!r}.")
    return damaged(path, error)


def _select(
    path: str, columns: Sequence[str] | None, batches: Iterable[tuple[int, pa.RecordBatch]]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Picks columns. A key may be absent from a whole block of objects, but not from all of the file."""
    seen = dict[str, None]()
    for first, batch in batches:
        seen.update(dict.fromkeys(batch.schema.names))
        if columns is not None:
            nulls = pa.nulls(batch.num_rows, pa.string())
            arrays = [batch.column(name) if name in batch.schema.names else nulls for name in columns]
            batch = pa.record_batch(arrays, names=list(columns))
        yield first, batch
    for column in columns or ():
        if seen and column not in seen:
            raise missing_column(path, column, seen)
