"""Reading of tables: CSV, TSV, JSON Lines and Parquet, plain or gzip, a batch at a time, as the files have them."""

from __future__ import annotations

import glob
import gzip
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from pipeline.errors import DataError
from pipeline.manifest import FORMATS
from pipeline.section import nearest

_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
# A row must fit into one block.
_BLOCK_BYTES = 8 << 20


def is_remote(path: str) -> bool:
    """Whether the path has a scheme (``gs://…``) and is opened through Beam."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def shown(path: str) -> str:
    """The path as a person would type it: relative when it is below the current folder."""
    if is_remote(path):
        return path
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def read_bytes(path: str) -> bytes:
    """The content of a small file.

    Raises:
        FileNotFoundError: There is none.
    """
    if is_remote(path) and not _match(path):
        raise FileNotFoundError(path)
    with _open(path) as stream:
        return bytes(stream.read())


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
        full = path if is_remote(path) or os.path.isabs(path) else f"{folder.rstrip('/')}/{path}"
        found = _match(full)
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
    suffix = os.path.splitext(path.removesuffix(".gz"))[1].lower()
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
        for _, batch in _json_batches(path, 1000):
            return list(batch.schema.names)
        return []
    return _csv_names(path, format_)


def read_batches(
    path: str, *, columns: Sequence[str] | None = None, batch_rows: int = 65536, format: str | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Streams a table.

    Columns of CSV and TSV are all strings, so that an id like ``00123`` survives; JSON Lines and Parquet keep their
    types, which for JSON Lines may differ from batch to batch.

    Args:
        path: One file.
        columns: The columns to read, in this order; all when ``None``.
        batch_rows: The most rows in a batch.
        format: Overrides the suffix.

    Yields:
        The number of the batch's first row, and the batch. Row 1 is the first row of data, after the header if there
        is one; blank lines do not count.

    Raises:
        DataError: The file is not what its format says, or lacks one of `columns`.
    """
    format_ = table_format(path, format)
    if format_ == "parquet":
        yield from _parquet_batches(path, columns, batch_rows)
    elif format_ == "jsonl":
        yield from _select(path, columns, _json_batches(path, batch_rows))
    else:
        yield from _csv_batches(path, columns, batch_rows, format_)


def missing_column(path: str, column: str, names: Iterable[str]) -> DataError:
    """The error for a column that the manifest names and the file does not have."""
    names = list(names)
    close = nearest(column, names)
    hint = close if close.startswith("did") else ""
    listed = ", ".join(names[:30]) + (", …" if len(names) > 30 else "")
    return DataError(f'{shown(path)} must have a column "{column}". Got {listed}; {hint}'.rstrip("; "))


def _match(path: str) -> list[str]:
    if is_remote(path):
        # Beam takes seconds to import, and most datasets are local.
        from apache_beam.io.filesystems import FileSystems

        return sorted(found.path for found in FileSystems.match([path])[0].metadata_list)
    # A name may itself hold brackets.
    return [path] if os.path.isfile(path) else sorted(filter(os.path.isfile, glob.glob(path, recursive=True)))


def _similar(path: str) -> str:
    folder = os.path.dirname(path)
    if is_remote(path) or not os.path.isdir(folder):
        return ""
    close = nearest(os.path.basename(path), os.listdir(folder) or [""])
    return f"; {close.removesuffix('?')}" if close.startswith("did") else ""


def _open(path: str) -> pa.NativeFile:
    """The raw bytes of a file, able to seek."""
    if is_remote(path):
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems

        return pa.PythonFile(FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED), mode="r")
    return pa.OSFile(path, "rb")


def _open_text(path: str) -> pa.NativeFile:
    """The bytes of a text file, unpacked."""
    stream = _open(path)
    return pa.CompressedInputStream(stream, "gzip") if path.endswith(".gz") else stream


def _damaged(path: str, error: Exception) -> DataError:
    return DataError(
        f"{shown(path)} cannot be read as it is damaged or not what its name says. Got: {error}."
    )


# ---- Parquet


def _parquet(path: str) -> pa.parquet.ParquetFile:
    if path.endswith(".gz"):
        raise DataError(
            f"{shown(path)} must be unpacked: Parquet compresses its columns itself. Got a .gz file."
        )
    try:
        return pa.parquet.ParquetFile(_open(path))
    except pa.ArrowInvalid as error:
        raise _damaged(path, error) from None


def _parquet_batches(
    path: str, columns: Sequence[str] | None, batch_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    file = _parquet(path)
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
        raise _damaged(path, error) from None


# ---- CSV and TSV


def _csv_options(format_: str, bad_row: Callable[[Any], str] | None = None) -> dict[str, Any]:
    return {
        # Only a reader of one thread numbers the rows it finds fault with.
        "read_options": pa.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        "parse_options": pa.csv.ParseOptions(
            delimiter="\t" if format_ == "tsv" else ",", newlines_in_values=True, invalid_row_handler=bad_row
        ),
    }


def _csv_names(path: str, format_: str) -> list[str]:
    # Rows are not looked at yet, so that a bad one is reported by its own reader.
    options = _csv_options(format_, lambda row: "skip")
    try:
        with _open_text(path) as stream, pa.csv.open_csv(stream, **options) as reader:
            names = list(reader.schema.names)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        if "Empty CSV" in str(error):
            raise DataError(f"{shown(path)} must have a header and rows. Got an empty file.") from None
        raise _csv_error(path, format_, error) from None
    for name in names:
        if names.count(name) > 1:
            raise DataError(f'{shown(path)} must name each column once. Got "{name}" twice.')
    return names


def _csv_batches(
    path: str, columns: Sequence[str] | None, batch_rows: int, format_: str
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
            _open_text(path) as stream,
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
        return _damaged(path, error)
    with _python_lines(path) as lines:
        for number, line in enumerate(lines):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as bad:
                got = line[max(0, bad.start - 20) : bad.start + 20]
                where = f"row {number}" if number else "header"
                return DataError(f"{shown(path)}, {where}: text must be UTF-8. Got {got!r}.")
    return _damaged(path, error)


def _python_lines(path: str) -> Any:
    return io.BufferedReader(_open_text(path))


# ---- JSON Lines


def _json_batches(path: str, batch_rows: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    first, text_columns = 1, set[str]()
    for lines in _line_blocks(path, batch_rows):
        batch = _json_block(path, lines, first, text_columns)
        yield first, batch
        first += batch.num_rows


def _line_blocks(path: str, batch_rows: int) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    num_bytes = 0
    try:
        with _python_lines(path) as stream:
            for line in stream:
                if not line.strip():
                    continue
                lines.append(line)
                num_bytes += len(line)
                if len(lines) == batch_rows or num_bytes > _BLOCK_BYTES:
                    yield lines
                    lines, num_bytes = [], 0
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from None
    if lines:
        yield lines


def _json_block(path: str, lines: list[bytes], first: int, text_columns: set[str]) -> pa.RecordBatch:
    """Parses one block; `text_columns` remembers columns whose strings Arrow would otherwise take for times."""
    content = pa.py_buffer(b"".join(lines))
    try:
        table = _arrow_json(content, text_columns)
        times = {field.name for field in table.schema if pa.types.is_timestamp(field.type)}
        if times:
            text_columns |= times
            table = _arrow_json(content, text_columns)
    except pa.ArrowInvalid:
        # One column with numbers and strings, or a bad line: Python tells which.
        return _python_json(path, lines, first)
    if table.num_rows != len(lines):
        return _python_json(path, lines, first)
    return table.combine_chunks().to_batches()[0]


def _arrow_json(content: pa.Buffer, text_columns: set[str]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in sorted(text_columns)])
    return pa.json.read_json(
        pa.BufferReader(content),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=max(content.size + 1, 1 << 16)),
        parse_options=pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer"),
    )


def _python_json(path: str, lines: list[bytes], first: int) -> pa.RecordBatch:
    rows = []
    for number, line in enumerate(lines, start=first):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{shown(path)}, row {number}: a line must be one JSON object. Got: {error}."
            ) from None
        if not isinstance(row, dict):
            raise DataError(f"{shown(path)}, row {number}: a line must be one JSON object. Got {row!r:.60}.")
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.record_batch([_json_column([row.get(name) for row in rows]) for name in names], names=names)


def _json_column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        texts = [v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]
        return pa.array(texts, pa.string())


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
