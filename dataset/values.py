"""Conversions of a column of any type a file may have into text, names or numbers."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset.labels import POINT_ZERO

_DECIMAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)?,\d+$"
_ABSENT = pa.array(["", "NA", "N/A", "null", "NULL", "None"])
_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
_NULL_TEXT = pa.scalar(None, pa.string())


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type has a list of values in each row."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def as_text(column: pa.Array) -> pa.StringArray:
    """Trimmed text, null where null: values of lists joined by spaces, numbers in shortest decimal form.

    Raises:
        TypeError: The column holds objects, or lists of lists.
        pyarrow.ArrowInvalid: It holds bytes that are not UTF-8.
    """
    column = _decoded(column)
    kind = column.type
    if is_list(kind):
        if pa.types.is_nested(kind.value_type):
            raise TypeError(kind)
        return _joined(column)
    if pa.types.is_nested(kind):
        raise TypeError(kind)
    if pa.types.is_floating(kind):
        column = _float_text(column)
    elif pa.types.is_decimal(kind):
        column = pa.array([_decimal_text(value) for value in column.to_pylist()], pa.string())
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def as_labels(column: pa.Array) -> pa.StringArray:
    """Ids and other short names as text, each as `labels.as_label` has it, null where empty.

    Raises:
        TypeError: The column holds objects.
        pyarrow.ArrowInvalid: It holds bytes that are not UTF-8.
    """
    text = pc.replace_substring_regex(as_text(column), POINT_ZERO, r"\1")
    return pc.if_else(pc.equal(text, ""), _NULL_TEXT, text)


def as_numbers(column: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Numbers, and where there should be one.

    Returns:
        float32 `[n]`, not finite where missing or not a number that float32 holds; and bool `[n]`, false
        where the value is missing.

    Raises:
        TypeError: The column holds neither numbers nor text.
    """
    column = _decoded(column)
    kind = column.type
    given = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.utf8_trim_whitespace(column.cast(pa.string()))
        given &= ~pc.is_in(column, _ABSENT).to_numpy(zero_copy_only=False)
        column = pc.if_else(pc.match_substring_regex(column, _DECIMAL), column, _NULL_TEXT)
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not any(is_kind(kind) for is_kind in _NUMERIC):
        raise TypeError(kind)
    with np.errstate(over="ignore"):
        values = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy().astype(np.float32)
    return values, given


def _joined(column: pa.Array) -> pa.StringArray:
    """The values of each row's list joined by spaces, those that are null or empty passed over."""
    texts = as_text(pc.list_flatten(column)).fill_null("")
    is_given = pc.not_equal(texts, "").to_numpy(zero_copy_only=False)
    rows = pc.list_parent_indices(column).to_numpy()[is_given]
    lengths = np.bincount(rows, minlength=len(column))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), texts.filter(pa.array(is_given)))
    return pc.if_else(column.is_valid(), pc.binary_join(lists, " "), _NULL_TEXT)


def with_decimal_points(column: pa.Array) -> pa.Array:
    """Numbers of a language that writes 1.234,50 as 1234.50; everything else as it is."""
    if not pa.types.is_string(column.type):
        return column
    text = pc.utf8_trim_whitespace(column)
    is_comma = pc.match_substring_regex(text, _DECIMAL_COMMA)
    pointed = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    return pc.if_else(is_comma, pointed, column)


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _decimal_text(value: decimal.Decimal | None) -> str | None:
    """All digits without an exponent, and without the zeros that the column's scale puts behind them."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _float_text(column: pa.Array) -> pa.StringArray:
    """Whole numbers without a point, NaN as null."""
    values = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
    is_whole = np.isfinite(values) & (np.abs(values) < 2**63) & (values == np.floor(values))
    whole = pa.array(np.where(is_whole, values, 0).astype(np.int64)).cast(pa.string())
    text = pc.if_else(pa.array(is_whole), whole, column.cast(pa.string()))
    return pc.if_else(pa.array(np.isnan(values)), _NULL_TEXT, text)
