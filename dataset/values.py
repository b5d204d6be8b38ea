"""Conversions of a column of any type a file may have into text, names or numbers."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset.labels import POINT_ZERO
from dataset.markup import without_markup

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
        _require_flat(kind)
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


def as_values(column: pa.Array, separator: str | None = None, *, strip_markup: bool = False) -> pa.ListArray:
    """The values of each row as a list of different texts, in one line; [""] where there is none.

    Args:
        column: Lists of values, or a value in each row.
        separator: What stands between the values of a text.
        strip_markup: Whether values lose their HTML.

    Raises:
        TypeError: The column holds objects, or lists of lists.
        pyarrow.ArrowInvalid: It holds bytes that are not UTF-8.
    """
    column = _decoded(column)
    num_rows, rows = len(column), np.arange(len(column))
    if is_list(column.type):
        _require_flat(column.type)
        rows, column = pc.list_parent_indices(column).to_numpy(), pc.list_flatten(column)
    texts = as_text(column).fill_null("")
    if separator is not None:
        parts = pc.split_pattern(texts, separator)
        rows = rows[pc.list_parent_indices(parts).to_numpy()]
        texts = pc.utf8_trim_whitespace(pc.list_flatten(parts))
    texts = in_one_line(without_markup(texts) if strip_markup else texts)
    kept = _first_of_equal(texts, rows)
    empty = np.setdiff1d(np.arange(num_rows), rows[kept])
    texts = pa.concat_arrays([texts.take(pa.array(kept)), pa.array([""] * len(empty), pa.string())])
    rows = np.concatenate([rows[kept], empty])
    return _lists(texts.take(pa.array(np.argsort(rows, kind="stable"))), rows, num_rows)


def in_one_line(texts: pa.StringArray) -> pa.StringArray:
    """Texts whose line breaks, with the white space around them, are spaces."""
    if not pc.any(pc.match_substring_regex(texts, r"[\r\n]")).as_py():
        return texts
    return pc.replace_substring_regex(texts, r"\s*[\r\n]\s*", " ")


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
    lists = _lists(texts.filter(pa.array(is_given)), rows, len(column))
    return pc.if_else(column.is_valid(), pc.binary_join(lists, " "), _NULL_TEXT)


def _first_of_equal(texts: pa.StringArray, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The places, in order, of texts that are not empty and that their row has not had before."""
    given = np.flatnonzero(pc.not_equal(texts, "").to_numpy(zero_copy_only=False))
    codes = texts.take(pa.array(given)).dictionary_encode().indices.to_numpy().astype(np.int64)
    _, first = np.unique(rows[given] * (len(texts) + 1) + codes, return_index=True)
    return given[np.sort(first)]


def _lists(texts: pa.StringArray, rows: np.ndarray[Any, Any], num_rows: int) -> pa.ListArray:
    """Texts, in order of the rows that they are of, as a list for each row."""
    lengths = np.bincount(rows, minlength=num_rows)
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(lengths)).astype(np.int32)), texts)


def with_decimal_points(column: pa.Array) -> pa.Array:
    """Numbers of a language that writes 1.234,50 as 1234.50; everything else as it is."""
    if not pa.types.is_string(column.type):
        return column
    text = pc.utf8_trim_whitespace(column)
    is_comma = pc.match_substring_regex(text, _DECIMAL_COMMA)
    pointed = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    return pc.if_else(is_comma, pointed, column)


def _require_flat(kind: pa.DataType) -> None:
    if pa.types.is_nested(kind.value_type):
        raise TypeError(kind)


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
