"""Validation of text: Parquet and Arrow's JSON take over any bytes, which would stop a run long after."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from dataset.errors import DataError
from dataset.files import shown
from dataset.values import is_list


def require_utf8(path: str, first: int, batch: pa.RecordBatch, *, with_bytes: bool) -> None:
    """Holds every text of a batch against UTF-8, those in lists and dictionaries too.

    Args:
        path: Its file.
        first: The number of its first row.
        batch: The batch.
        with_bytes: Whether columns of bytes are meant to be text.

    Raises:
        DataError: A text is not UTF-8.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if _is_utf8(column, with_bytes):
            continue
        low, size = 0, len(column)
        while size > 1:
            half = size // 2
            if _is_utf8(column.slice(low, half), with_bytes):
                low, size = low + half, size - half
            else:
                size = half
        raise DataError(
            f'{shown(path)}, row {first + low}, column "{name}": text must be UTF-8. Got '
            f"{_bytes(column.slice(low, 1))!r}."
        )


def _is_utf8(column: pa.Array, with_bytes: bool) -> bool:
    kind = column.type
    if pa.types.is_dictionary(kind):
        # As decoded, so that values that no row has do not count.
        return _is_utf8(column.dictionary, with_bytes) or _is_utf8(column.dictionary_decode(), with_bytes)
    if is_list(kind):
        return _is_utf8(pc.list_flatten(column), with_bytes)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return not with_bytes or _is_utf8(_as_string(column), with_bytes)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return True
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _as_string(column: pa.Array) -> pa.Array:
    """Bytes as a text that nobody has looked at."""
    return column.cast(pa.binary()).view(pa.string())


def _bytes(column: pa.Array) -> bytes:
    """The bytes of the first value of one row that are not UTF-8."""
    if pa.types.is_dictionary(column.type):
        return _bytes(column.dictionary_decode())
    if is_list(column.type):
        return _bytes(pc.list_flatten(column))
    for value in column.cast(pa.binary()).to_pylist():
        try:
            (value or b"").decode("utf-8")
        except UnicodeDecodeError as error:
            return bytes(value[max(0, error.start - 20) : error.start + 20])
    return b""


def whole_text(text: str) -> str:
    """The text with U+FFFD for half a surrogate pair, as is left where a text was cut inside a character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
