"""Reading of tables, a batch at a time: CSV, TSV, JSON Lines, Parquet and Excel, plain, gzip or ZIP."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from dataset.contract import FORMATS
from dataset.delimited import delimited_batches, dialect_note, read_header
from dataset.errors import DataError
from dataset.files import (
    OnBytes,
    OnLines,
    damaged,
    is_remote,
    join,
    match_files,
    open_file,
    packed_name,
    part_files,
    shown,
)
from dataset.json_lines import json_batches
from dataset.section import nearest
from dataset.utf8 import require_utf8
from dataset.workbooks import read_sheet, sheet_batches

_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}

_UNPACK = "unpack it, and name what is in it"
_SHEET = "save each sheet as CSV UTF-8"
_WAYS_OUT = {
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".tgz"), _UNPACK),
    **dict.fromkeys((".bz2", ".zst", ".xz", ".lz4", ".z"), "unpack it, or pack it with gzip"),
    **dict.fromkeys((".xls", ".xlsb", ".ods", ".numbers"), _SHEET),
    **dict.fromkeys((".avro", ".orc", ".feather", ".arrow", ".pkl", ".sqlite", ".db"), "write it as Parquet"),
}


def expand_paths(paths: Sequence[str], folder: str) -> list[str]:
    """The files that a table's paths stand for, each glob in order of name.

    Args:
        paths: As in the manifest; a folder stands for the parts in it.
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
        if not found and (is_remote(full) or Path(full).is_dir()):
            found = part_files(full)
        if not found and Path(full).is_dir():
            raise DataError(f"A table must have its files. Got none in the folder {shown(full)}.")
        if not found:
            raise DataError(f"A table must have its files. Got none at {shown(full)}{_similar(full)}.")
        files.extend(found)
    return list(dict.fromkeys(files))


def table_format(path: str, override: str | None = None) -> str:
    """The format of a file, one of `FORMATS`, by its suffix unless overridden.

    A ZIP archive has that of the file in it, or of its own name without ``.zip``. A file without a known
    suffix has that of its folder.

    Raises:
        DataError: The suffix is not a known one, or an archive has no file or several in it.
    """
    if override is not None:
        return override
    # A part of a folder may have no ending of its own.
    suffix = _suffix(path) or _suffix(str(Path(path).parent))
    if suffix == ".zip":
        suffix = _suffix(packed_name(path))
        if suffix not in _SUFFIXES and (own := _suffix(path[: -len(".zip")])):
            suffix = own
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    way_out = _WAYS_OUT.get(suffix) or 'add format = "…" to its table in the manifest'
    known = ", ".join(FORMATS)
    raise DataError(
        f'{shown(path)}: the format must be one of {known}. Got the suffix "{suffix}"; {way_out}.'
    )


def way_to_read(path: str) -> str:
    """What a person can do with a table of a format that is not read; "" if it is not known to be a table."""
    return _WAYS_OUT.get(_suffix(path), "")


def _suffix(path: str) -> str:
    return Path(path.lower().removesuffix(".gz")).suffix


def reading_note(path: str, format: str | None = None) -> str:
    """What a person should know of how a file is read, beyond its format; "" for nothing."""
    format_ = table_format(path, format)
    if format_ == "xlsx":
        return read_sheet(path).note
    return dialect_note(read_header(path, format_), format_) if format_ in ("csv", "tsv") else ""


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
    if format_ == "xlsx":
        return read_sheet(path).columns
    return read_header(path, format_).columns


def read_batches(
    path: str,
    *,
    columns: Sequence[str] | None = None,
    batch_rows: int = 65536,
    format: str | None = None,
    on_bytes: OnBytes | None = None,
    on_lines: OnLines | None = None,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Streams a table.

    Columns of CSV, TSV and Excel are all strings, so that an id like ``00123`` survives; JSON Lines and
    Parquet keep their types, which for JSON Lines may differ from batch to batch.

    Args:
        path: One file.
        columns: The columns to read, in this order; all when ``None``.
        batch_rows: The most rows in a batch.
        format: Overrides the suffix.
        on_bytes: Told of each read, see `files.open_file`.
        on_lines: Told the path and how many lines of it are read, of formats that have lines.

    Yields:
        The number of the batch's first row, and the batch. Row 1 is the first row of data, after the header
        if there is one; blank lines do not count.

    Raises:
        DataError: The file is not what its format says, or lacks one of `columns`.
    """
    format_ = table_format(path, format)
    if format_ in ("csv", "tsv"):
        header = read_header(path, format_)
        _require_columns(path, columns, header.columns)
        wanted = header.columns if columns is None else columns
        yield from delimited_batches(path, header, wanted, batch_rows, on_bytes, on_lines)
        return
    if format_ == "xlsx":
        names = read_sheet(path).columns
        _require_columns(path, columns, names)
        yield from sheet_batches(path, names if columns is None else columns, batch_rows, on_bytes)
        return
    if format_ == "parquet":
        batches = _parquet_batches(path, columns, batch_rows, on_bytes)
    else:
        batches = _select(path, columns, json_batches(path, batch_rows, on_bytes, on_lines))
    for first, batch in batches:
        require_utf8(path, first, batch, with_bytes=columns is not None)
        yield first, batch


def _require_columns(path: str, columns: Sequence[str] | None, names: Sequence[str]) -> None:
    for column in columns or ():
        if column not in names:
            raise _missing_column(path, column, names)


def _missing_column(path: str, column: str, names: Iterable[str]) -> DataError:
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
    _require_columns(path, columns, names)
    first = 1
    try:
        for batch in file.iter_batches(batch_rows, columns=None if columns is None else list(columns)):
            yield first, batch if columns is None else batch.select(list(columns))
            first += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from None


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
            raise _missing_column(path, column, seen)
