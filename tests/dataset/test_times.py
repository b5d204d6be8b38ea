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
        "20110701",
        "20110701T093507Z",
        "20110701T0935",
        "20110701 093507+0530",
        "20111301T00",
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
        seconds, valid, _ = parse_times(column)

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

    seconds, valid, _ = parse_times(pa.array(texts))

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
    seconds, valid, _ = parse_times(column)

    assert valid.all()
    assert seconds.tolist() == [1311897600] * 3


@pytest.mark.parametrize(
    ("column", "seconds"),
    [
        (["2019-10-01 00:00:08 UTC", "2019-10-01 00:00:09 UTC"], [1569888008, 1569888009]),
        (["2019-10-01 00:00:08.5 UTC", "2019-10-01T00:00:09 GMT"], [1569888008, 1569888009]),
        (["2019-10-01 00:00:08 UTC", "2019-10-01T00:00:09+01:00"], [1569888008, 1569884409]),
        ([1433221332117, 1433224214164], [1433221332, 1433224214]),
        (["1433221332117", "1433224214164"], [1433221332, 1433224214]),
        ([1433221332.117e3, 1433224214.164e6], [1433221332, 1433224214]),
        ([1433221332117000000, 1433224214164000000], [1433221332, 1433224214]),
        ([20230115, 19991231], [1673740800, 946598400]),
        (["20230115", "19991231"], [1673740800, 946598400]),
        ([20230115.0, float("nan")], [1673740800, 0]),
        (["20230115093507", "202301150935"], [1673775307, 1673775300]),
        ([20230115093507, 202301150935], [1673775307, 1673775300]),
    ],
)
def test_time_is_read_by_its_value(column: list[object], seconds: list[int]) -> None:
    parsed = parse_times(pa.array(column))

    assert parsed.seconds.tolist() == seconds
    assert parsed.is_time.tolist() == [second > 0 for second in seconds]
    assert not parsed.is_unlikely.any()


@pytest.mark.parametrize(
    "column",
    [
        [1, 2, 3],
        ["1", "2", "0"],
        [2021, 2022, 2023],
        [44927.5, 44928.25],
        [27874080, 27874081],
        [20230230, 20231301, 99999999],
        [-5, 99_999_999.5],
        [4102444800, 99999999999],
        [20230115246060 / 1000],
    ],
)
def test_number_that_no_log_has_as_seconds_is_unlikely(column: list[object]) -> None:
    parsed = parse_times(pa.array(column))

    assert parsed.is_time.all()
    assert parsed.is_unlikely.all()


@pytest.mark.parametrize(
    "column", [["1970-02-01", "1969-12-31T23:59:59Z", "9999-12-31"], [datetime.date(1970, 2, 1)]]
)
def test_written_date_is_likely(column: list[object]) -> None:
    parsed = parse_times(pa.array(column))

    assert parsed.is_time.all()
    assert not parsed.is_unlikely.any()


@pytest.mark.parametrize(
    "column",
    [[638000000000000000], [133000000000000000], [float("nan")], [None], [""], [True], ["20230230T00"]],
)
def test_ticks_of_other_clocks_and_empty_values_are_not_times(column: list[object]) -> None:
    assert parse_times(pa.array(column)).is_time.tolist() == [False]
