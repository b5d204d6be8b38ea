"""Times of any spelling the data contract allows, as whole seconds since 1970 in UTC."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EXPECTED = "be ISO 8601 or epoch seconds"

_NUMBER = r"^[+-]?\d+(\.\d*)?$"
_ISO = (
    r"^(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<hour>\d{2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,]\d+)?)?)?"
    r" ?(?:[Zz]|(?P<sign>[+-])(?P<zone_hour>\d{2})(?::?(?P<zone_minute>\d{2}))?)?)?$"
)
# Years 1 to 9999. Milliseconds of our time lie beyond, so that they are found out.
_FIRST, _LAST = -62135596800, 253402300799


def parse_times(column: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Reads times; fractions of a second are dropped, a time without a zone is UTC.

    Args:
        column: Strings (ISO 8601 date with or without time, or epoch seconds), integers or floats (epoch
            seconds), or Arrow's own timestamps and dates; `[n]`.

    Returns:
        int64 `[n]` epoch seconds, and bool `[n]` whether the value is a time (where not, the seconds are 0).
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        return _timestamps(column)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _numbers(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _strings(pc.utf8_trim_whitespace(column.cast(pa.string())))
    return np.zeros(len(column), np.int64), np.zeros(len(column), bool)


def _timestamps(column: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    # Floor division, because a cast would round times before 1970 up.
    return column.cast(pa.int64()).fill_null(0).to_numpy() // per_second, valid


def _numbers(column: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    values = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    valid = (values >= _FIRST) & (values < _LAST + 1)
    return np.floor(np.where(valid, values, 0)).astype(np.int64), valid


def _strings(column: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    # Arrow is ten times as fast, but knows no zones, fractions or numbers and is slow to say so: try a few.
    for part in (column.drop_null()[:16], column):
        try:
            seconds = part.cast(pa.timestamp("s"))
        except pa.ArrowInvalid:
            break
    else:
        return _timestamps(seconds)
    is_number = pc.match_substring_regex(column, _NUMBER)
    seconds, valid = _numbers(pc.if_else(is_number, column, None).cast(pa.float64()))
    if not valid.all():
        iso_seconds, iso_valid = _iso(column)
        seconds, valid = np.where(valid, seconds, iso_seconds), valid | iso_valid
    return seconds, valid


def _iso(column: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    parts = pc.extract_regex(column, _ISO)

    def integers(name: str) -> np.ndarray[Any, Any]:
        part = pc.struct_field(parts, name)
        return pc.if_else(pc.equal(part, ""), "0", part).cast(pa.int64()).fill_null(0).to_numpy()

    date = pc.struct_field(parts, "date").fill_null("")
    year, month, day = (
        pc.if_else(pc.equal(date, ""), "1", pc.utf8_slice_codeunits(date, start, stop))
        .cast(pa.int64())
        .to_numpy()
        for start, stop in ((0, 4), (5, 7), (8, 10))
    )
    months = (year - 1970) * 12 + month - 1
    first_day, next_month = (m.astype("M8[M]").astype("M8[D]").astype(np.int64) for m in (months, months + 1))
    hour, minute, second, zone_hour, zone_minute = map(
        integers, ("hour", "minute", "second", "zone_hour", "zone_minute")
    )
    sign = np.where(pc.equal(pc.struct_field(parts, "sign"), "-").fill_null(False).to_numpy(False), -1, 1)
    valid = (
        parts.is_valid().to_numpy(zero_copy_only=False)
        & (year >= 1)
        & (month >= 1)
        & (month <= 12)
        & (day >= 1)
        & (first_day + day <= next_month)
        & (hour < 24)
        & (minute < 60)
        & (second < 60)
        & (zone_hour < 24)
        & (zone_minute < 60)
    )
    zone = sign * (zone_hour * 3600 + zone_minute * 60)
    seconds = (first_day + day - 1) * 86400 + hour * 3600 + minute * 60 + second - zone
    return np.where(valid, seconds, 0), valid
