"""Times of any spelling the data contract allows, as whole seconds since 1970 in UTC."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array = np.ndarray[Any, Any]

EXPECTED = "be ISO 8601 or epoch seconds"
LIKELY = (
    "be from 1973 to 2099 as a number of seconds, and in any form not in January 1970; write what counts "
    "days, minutes or years, or was read in another unit, as YYYY-MM-DD"
)

_NUMBER = r"^[+-]?\d+(\.\d*)?$"
_ISO = (
    r"^(?P<date>\d{4}-\d{2}-\d{2}|\d{8})"
    r"(?:[Tt ](?P<hour>\d{2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,]\d+)?)?)?"
    r"(?: ?(?:[Zz]|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>\d{2})(?::?(?P<zone_minute>\d{2}))?))?)?$"
)
_UTC = r" ?(?:UTC|GMT)$"
# Years 1 to 9999.
FIRST, LAST = -62135596800, 253402300799
LAST_YEAR = 253370764800
# Of a number: 1973 and 2100, in seconds, and what a second is divided into.
_FIRST_LIKELY, _LAST_LIKELY = 1e8, 4102444800.0
_PER_SECOND = (1e3, 1e6, 1e9)
# Seconds that a program took for milli-, micro- or nanoseconds, and zero.
_JANUARY_1970_S = 31 * 86400
# Ticks of other clocks, as Windows has them, are as large as nanoseconds of the last century.
_FIRST_NANOSECOND = 946684800e9
# A date without dashes, with nothing, hour and minute, or hour, minute and second after it.
_COMPACT_CLOCKS = (1, 10**4, 10**6)


class Times(NamedTuple):
    """Times that were read.

    Attributes:
        seconds: int64 `[n]` epoch seconds, 0 where there is no time.
        is_time: bool `[n]`, whether the value is a time.
        is_unlikely: bool `[n]`, whether it is a number that no log of our time has as seconds, or in
            January 1970.
    """

    seconds: Array
    is_time: Array
    is_unlikely: Array


def parse_times(column: pa.Array) -> Times:
    """Reads times; fractions of a second are dropped, a time without a zone is UTC.

    A number is in seconds, or in milli-, micro- or nanoseconds where these lie in our time, or a date without
    dashes, such as ``20230115`` or ``20230115093507``.

    Args:
        column: Strings (ISO 8601 date with or without time, or a number), integers or floats, or Arrow's own
            timestamps and dates; `[n]`.
    """
    seconds, is_time, is_unlikely = _parsed(column)
    is_in_january = is_time & (seconds >= 0) & (seconds < _JANUARY_1970_S)
    return Times(seconds, is_time, is_unlikely | is_in_january)


def _parsed(column: pa.Array) -> Times:
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
    return _certain(np.zeros(len(column), np.int64), np.zeros(len(column), bool))


def _certain(seconds: Array, is_time: Array) -> Times:
    return Times(seconds, is_time, np.zeros(len(seconds), bool))


def _timestamps(column: pa.Array) -> Times:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    # Floor division, because a cast would round times before 1970 up.
    return _certain(column.cast(pa.int64()).fill_null(0).to_numpy() // per_second, valid)


def _numbers(column: pa.Array) -> Times:
    values = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    scaled, is_never = values, np.zeros(len(values), bool)
    # Programs write the last year there is for never.
    for per_second in (1.0, *_PER_SECOND):
        is_last_year = (values >= LAST_YEAR * per_second) & (values < (LAST + 1) * per_second)
        if is_last_year.any():
            scaled = np.where(is_last_year, values / per_second, scaled)
            is_never |= is_last_year
    for per_second in _PER_SECOND:
        low = max(_FIRST_LIKELY * per_second, _FIRST_NANOSECOND if per_second == 1e9 else 0)
        is_scaled = (values >= low) & (values < _LAST_LIKELY * per_second) & ~is_never
        if is_scaled.any():
            scaled = np.where(is_scaled, values / per_second, scaled)
    valid = (scaled >= FIRST) & (scaled < LAST + 1)
    seconds = np.floor(np.where(valid, scaled, 0)).astype(np.int64)
    is_unlikely = valid & ((scaled < _FIRST_LIKELY) | (scaled >= _LAST_LIKELY))
    for clock in _COMPACT_CLOCKS:
        # Few numbers look so, and none that is a likely time does.
        candidates = np.flatnonzero((values >= 19000101 * clock) & (values < 20991232 * clock))
        if len(candidates):
            found, is_date = _compact(values[candidates], clock)
            dates = candidates[is_date]
            seconds[dates], valid[dates], is_unlikely[dates] = found[is_date], True, False
    return Times(seconds, valid, is_unlikely)


def _compact(values: Array, clock: int) -> tuple[Array, Array]:
    """Dates without dashes as epoch seconds, and which are dates."""
    whole = values.astype(np.int64)
    day, rest = whole // clock, whole % clock
    rest = rest * (10**6 // clock) if clock > 1 else rest
    seconds, is_date = _day_seconds(day // 10**4, day // 100 % 100, day % 100)
    hour, minute, second = rest // 10**4, rest // 100 % 100, rest % 100
    is_date &= (whole == values) & (hour < 24) & (minute < 60) & (second < 60)
    return seconds + hour * 3600 + minute * 60 + second, is_date


def _strings(column: pa.Array) -> Times:
    # Arrow is ten times as fast, but knows no zones, fractions or numbers and is slow to say so: try a few.
    sample = column.drop_null()[:16]
    if pc.any(pc.match_substring_regex(sample, _UTC)).as_py():
        sample, column = (pc.replace_substring_regex(part, _UTC, "") for part in (sample, column))
    for part in (sample, column):
        try:
            seconds = part.cast(pa.timestamp("s"))
        except pa.ArrowInvalid:
            break
    else:
        return _timestamps(seconds)
    is_number = pc.match_substring_regex(column, _NUMBER)
    numbers = _numbers(pc.if_else(is_number, column, None).cast(pa.float64()))
    if numbers.is_time.all():
        return numbers
    seconds, is_time = _iso(column)
    return Times(
        np.where(numbers.is_time, numbers.seconds, seconds), numbers.is_time | is_time, numbers.is_unlikely
    )


def _iso(column: pa.Array) -> tuple[Array, Array]:
    parts = pc.extract_regex(column, _ISO)

    def integers(name: str) -> Array:
        part = pc.struct_field(parts, name)
        return pc.if_else(pc.equal(part, ""), "0", part).cast(pa.int64()).fill_null(0).to_numpy()

    date = pc.replace_substring(pc.struct_field(parts, "date").fill_null("00010101"), "-", "")
    year, month, day = (
        pc.utf8_slice_codeunits(date, start, stop).cast(pa.int64()).to_numpy()
        for start, stop in ((0, 4), (4, 6), (6, 8))
    )
    midnight, is_date = _day_seconds(year, month, day)
    hour, minute, second, zone_hour, zone_minute = map(
        integers, ("hour", "minute", "second", "zone_hour", "zone_minute")
    )
    sign = np.where(pc.equal(pc.struct_field(parts, "sign"), "-").fill_null(False).to_numpy(False), -1, 1)
    valid = (
        parts.is_valid().to_numpy(zero_copy_only=False)
        & is_date
        & (hour < 24)
        & (minute < 60)
        & (second < 60)
        & (zone_hour < 24)
        & (zone_minute < 60)
    )
    zone = sign * (zone_hour * 3600 + zone_minute * 60)
    seconds = midnight + hour * 3600 + minute * 60 + second - zone
    return np.where(valid, seconds, 0), valid


def _day_seconds(year: Array, month: Array, day: Array) -> tuple[Array, Array]:
    """The epoch second that days begin with, int64 `[n]`, and which are in the calendar, bool `[n]`."""
    months = (year - 1970) * 12 + month - 1
    first_day, next_month = (m.astype("M8[M]").astype("M8[D]").astype(np.int64) for m in (months, months + 1))
    is_day = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (first_day + day <= next_month)
    return (first_day + day - 1) * 86400, is_day
