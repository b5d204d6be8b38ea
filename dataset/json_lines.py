"""JSON Lines as Arrow batches, with a bad line named by its row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.json

from dataset.errors import DataError
from dataset.files import OnBytes, damaged, open_lines, shown

_BLOCK_BYTES = 8 << 20


def json_batches(
    path: str, batch_rows: int, on_bytes: OnBytes | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """All columns of a file; which there are and of what type may differ from batch to batch.

    Args:
        path: The file.
        batch_rows: The most rows in a batch.
        on_bytes: Told of each read, see `files.open_file`.

    Yields:
        The number of the batch's first row, counted from 1 without blank lines, and the batch.

    Raises:
        DataError: A line is not a JSON object, or the file is damaged.
    """
    first, text_columns = 1, set[str]()
    for lines in _line_blocks(path, batch_rows, on_bytes):
        batch = _json_block(path, lines, first, text_columns)
        yield first, batch
        first += batch.num_rows


def _line_blocks(path: str, batch_rows: int, on_bytes: OnBytes | None) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    num_bytes = 0
    try:
        with open_lines(path, on_bytes) as stream:
            for line in stream:
                if not line.strip():
                    continue
                lines.append(line)
                num_bytes += len(line)
                if len(lines) == batch_rows or num_bytes > _BLOCK_BYTES:
                    yield lines
                    lines, num_bytes = [], 0
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from None
    if lines:
        yield lines


def _json_block(path: str, lines: list[bytes], first: int, text_columns: set[str]) -> pa.RecordBatch:
    """Parses one block; `text_columns` remembers columns whose strings Arrow would take for times."""
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
