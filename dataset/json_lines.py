"""JSON Lines, or one array of objects, as Arrow batches, with a bad row named by its number."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from dataset.errors import DataError
from dataset.files import OnBytes, OnLines, damaged, open_lines, shown
from dataset.utf8 import whole_text
from dataset.values import is_list

_BLOCK_BYTES = 8 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The first whole number that a double may not hold.
_MAX_EXACT = 2.0**53


def json_batches(
    path: str, batch_rows: int, on_bytes: OnBytes | None = None, on_lines: OnLines | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """All columns of a file; which there are and of what type may differ from batch to batch.

    Args:
        path: The file.
        batch_rows: The most rows in a batch.
        on_bytes: Told of each read, see `files.open_file`.
        on_lines: Told the number of lines, blank ones too, as they are read; not of an array.

    Yields:
        The number of the batch's first row, counted from 1 without blank lines, and the batch.

    Raises:
        DataError: A row is not a JSON object, or the file is damaged.
    """
    if _is_array(path):
        yield from _array_batches(path, batch_rows, on_bytes)
        return
    first, text_columns = 1, set[str]()
    for lines in _line_blocks(path, batch_rows, on_bytes, on_lines):
        batch = _json_block(path, lines, first, text_columns)
        yield first, batch
        first += batch.num_rows


def _is_array(path: str) -> bool:
    """Whether the file is one array of objects, and not an object a line."""
    try:
        with open_lines(path) as stream:
            return stream.read(1 << 16).removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"[")
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from None


def _array_batches(
    path: str, batch_rows: int, on_bytes: OnBytes | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of one array, which is in memory as a whole."""
    try:
        with open_lines(path, on_bytes) as stream:
            rows = _loaded(stream.read())
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from None
    except ValueError as error:
        raise DataError(f"{shown(path)} must be an array of JSON objects. Got: {error}.") from None
    for start in range(0, len(rows), batch_rows):
        yield start + 1, _python_batch(path, rows[start : start + batch_rows], start + 1)


def _line_blocks(
    path: str, batch_rows: int, on_bytes: OnBytes | None, on_lines: OnLines | None
) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    num_bytes = num_lines = 0
    try:
        with open_lines(path, on_bytes) as stream:
            for line in itertools.chain([stream.readline().removeprefix(_BYTE_ORDER_MARK)], stream):
                num_lines += 1
                if not line.strip():
                    continue
                lines.append(line)
                num_bytes += len(line)
                if len(lines) == batch_rows or num_bytes > _BLOCK_BYTES:
                    yield lines
                    lines, num_bytes = [], 0
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from None
    if on_lines is not None:
        on_lines(path, num_lines)
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
        # Arrow 18 loses the nulls of a list that begins with them, and with them the bounds of the array.
        table.validate()
    except pa.ArrowInvalid:
        # One column with numbers and strings, lists that begin with null, or a bad line: Python tells which.
        return _python_json(path, lines, first)
    if table.num_rows != len(lines) or any(map(_may_lack_digits, table.columns)):
        return _python_json(path, lines, first)
    return table.combine_chunks().to_batches()[0]


def _arrow_json(content: pa.Buffer, text_columns: set[str]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in sorted(text_columns)])
    return pa.json.read_json(
        pa.BufferReader(content),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=max(content.size + 1, 1 << 16)),
        parse_options=pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer"),
    )


def _may_lack_digits(column: pa.ChunkedArray) -> bool:
    """Whether Arrow may have made a double of a whole number that a double does not hold."""
    while is_list(column.type):
        column = pc.list_flatten(column)
    if not pa.types.is_floating(column.type):
        return False
    largest = pc.max(pc.abs(column)).as_py()
    return largest is not None and largest >= _MAX_EXACT


def _python_json(path: str, lines: list[bytes], first: int) -> pa.RecordBatch:
    try:
        rows = _loaded(b"[" + b",".join(lines) + b"]")
    except ValueError:
        rows = []
    if len(rows) != len(lines):
        rows = [_row(path, line, number) for number, line in enumerate(lines, start=first)]
    return _python_batch(path, rows, first)


def _row(path: str, line: bytes, number: int) -> Any:
    try:
        return _loaded(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        got = line[max(0, error.start - 20) : error.start + 20]
        raise DataError(f"{shown(path)}, row {number}: text must be UTF-8. Got {got!r}.") from None
    except ValueError as error:
        raise DataError(
            f"{shown(path)}, row {number}: a row must be one JSON object. Got: {error}."
        ) from None


def _loaded(text: bytes | str) -> Any:
    return json.loads(text, parse_constant=_constant, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        repeated = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{json.dumps(repeated)} twice")
    return made


def _constant(name: str) -> float | None:
    """What is no JSON, but written by Python for what is missing or too large: ``NaN`` is nothing."""
    return None if name == "NaN" else float(name)


def _python_batch(path: str, rows: list[Any], first: int) -> pa.RecordBatch:
    for number, row in enumerate(rows, start=first):
        if not isinstance(row, dict):
            raise DataError(f"{shown(path)}, row {number}: a row must be one JSON object. Got {row!r:.60}.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [_json_column([row.get(name) for row in rows]) for name in names]
    return pa.record_batch(columns, names=list(map(whole_text, names)))


def _json_column(values: list[Any]) -> pa.Array:
    """An array of values of any types; where they are not of one, of texts or of lists of texts."""
    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        # Arrow would take true for a number among others.
        types = {type(part) for value in values for part in _parts(value) if part is not None}
        if bool not in types or len(types) == 1:
            return pa.array(values)
    if any(isinstance(part, dict | list) for value in values for part in _parts(value)):
        # Objects stay objects, so that it does not depend on the block what they are.
        return pa.array([{"json": json.dumps(value)} for value in values])
    if any(isinstance(value, list) for value in values):
        lists = [None if value is None else [_as_text(part) for part in _parts(value)] for value in values]
        return pa.array(lists, pa.list_(pa.string()))
    return pa.array([_as_text(value) for value in values], pa.string())


def _parts(value: Any) -> list[Any]:
    """The values of a list, or the value itself."""
    return value if isinstance(value, list) else [value]


def _as_text(value: Any) -> str | None:
    """A value as a column of its own type would become text; whole numbers keep their digits."""
    if value is None or isinstance(value, str):
        return None if value is None else whole_text(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        value = int(value)
    return json.dumps(value)
