from __future__ import annotations

import datetime
import math

import numpy as np
import pyarrow as pa
import pytest

from dataset.times import parse_times

UTC = datetime.UTC


def _reference(text: str) -> int | None:
    """Python's own parser, restricted to what the contract allows."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return math.floor((moment - datetime.datetime(1970, 1, 1, tzinfo=UTC)) / datetime.timedelta(seconds=1))


@pytest.mark.parametrize(
    "text",
    [
        "2011-07-01",
        "2011-07-01 09:35",
        "2011-07-01T09:35:07",
        "2011-07-01T09:35:07.999999",
        "2011-07-01T09:35:07Z",
        "2011-07-01T09:35:07+05:30",
        "2011-07-01 09:35:07.5-0800",
        "2011-07-01T09:35:07+01",
        "1969-12-31T23:59:59.5",
        "2012-02-29",
        "2000-02-29",
        "0001-01-01",
        "9999-12-31T23:59:59",
        "2011-02-29",
        "1900-02-29",
        "2011-13-01",
        "2011-00-01",
        "2011-07-32",
        "2011-07-01T24:00:01",
        "2011-07-01T09:60",
        "2011-07-01T09:35:60",
        "yesterday",
        "01/07/2011",
    ],
)
def test_iso_time_equals_python(text: str) -> None:
    # A second value that is no time keeps Arrow's own fast parser from being all that is tested.
    for column in (pa.array([text]), pa.array([text, "x"])):
        seconds, valid = parse_times(column)

        expected = _reference(text)
        assert (int(seconds[0]) if valid[0] else None) == expected


def test_random_times_equal_python() -> None:
    rng = np.random.default_rng(0)
    zones = ["", "Z", "+00:00", "-03:30", "+14:00"]
    texts = [
        datetime.datetime.fromtimestamp(int(second), UTC).strftime(form) + zones[int(zone)]
        for second, zone in zip(rng.integers(-(10**10), 10**11, 500), rng.integers(0, 5, 500), strict=True)
        for form in ("%Y-%m-%dT%H:%M:%S",)
    ]

    seconds, valid = parse_times(pa.array(texts))

    assert valid.all()
    assert seconds.tolist() == [_reference(text) for text in texts]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["1311897600", " 1311897600.9 ", "+1311897600"]),
        pa.array([1311897600] * 3),
        pa.array([1311897600.9] * 3),
        pa.array([datetime.datetime(2011, 7, 29, 0, 0, 0, 500)] * 3, pa.timestamp("us")),
        pa.array([datetime.datetime(2011, 7, 29, tzinfo=UTC)] * 3, pa.timestamp("ms", "Europe/Paris")),
        pa.array([datetime.date(2011, 7, 29)] * 3),
        pa.array(["2011-07-29"] * 3).dictionary_encode(),
    ],
)
def test_every_spelling_of_a_time_is_the_same_second(column: pa.Array) -> None:
    seconds, valid = parse_times(column)

    assert valid.all()
    assert seconds.tolist() == [1311897600] * 3


@pytest.mark.parametrize("column", [["1311897600000"], [1311897600000], [float("nan")], [None], [""], [True]])
def test_milliseconds_and_empty_values_are_not_times(column: list[object]) -> None:
    assert parse_times(pa.array(column))[1].tolist() == [False]
