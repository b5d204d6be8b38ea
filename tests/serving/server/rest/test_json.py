from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from serving.server.rest.json import parse, quote, type_name, write_decimals
from serving.server.status_error import StatusError


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The document is empty"),
        (b"  \n", "The document is empty. at offset: 3"),
        (b"instances = [1, 2]", "Invalid value. at offset: 0"),
        (b"{'a': 1}", "Missing a name for object member. at offset: 1"),
        (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        (b'{"a": 1 "b": 2}', "Missing a comma or } after an object member. at offset: 8"),
        (b'{"a": [1, {"b]": 2}, [3] 4]}', "Missing a comma or ] after an array element. at offset: 25"),
        (b'{"a": [1, 2', "Missing a comma or ] after an array element. at offset: 11"),
        (b'{"a": "b', "Missing a closing quotation mark in string. at offset: 6"),
        (b'{"a": "\\x"}', "Invalid escape character in string. at offset: 7"),
        (b'{"a": "\\u12g4"}', "Incorrect hex digit after \\u escape in string. at offset: 8"),
        (b'{"a": "\n"}', "Invalid encoding in string. at offset: 7"),
        (b'{"a": "\xff"}', "Invalid encoding in string. at offset: 7"),
        ('{"é": 1} x'.encode(), "The document root must not be followed by other values. at offset: 10"),
        (b'{"a": "\\\\\\ud800"}', "The surrogate pair in string is invalid. at offset: 9"),
        (b'{"a": "\\ud83d\\ude00\\ude00"}', "The surrogate pair in string is invalid. at offset: 19"),
        (b'{"a": 1e999}', "Number too big to be stored in double."),
        (b'{"a": ' + b"9" * 5000 + b"}", "Number too big to be stored in double."),
        (b'{"a": ' + b"[" * 100_000, "The document is nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused_with_the_place(body: bytes, message: str) -> None:
    with pytest.raises(StatusError) as raised:
        parse(body)
    assert raised.value.message == f"JSON Parse error: {message}"
    assert raised.value.error_code == 3


@pytest.mark.parametrize(
    ("body", "quoted"), [(b"[1, 2]", "[\n    1,\n    2\n]"), (b"3", "3"), (b'"x"', '"x"'), (b"null", "null")]
)
def test_what_is_no_object_is_refused(body: bytes, quoted: str) -> None:
    with pytest.raises(StatusError) as raised:
        parse(body)
    assert raised.value.message == f"JSON Value: {quoted} Is not object"


def test_special_numbers_pairs_of_surrogates_and_a_byte_order_mark_are_read() -> None:
    document = parse(b'\xef\xbb\xbf{"a": [NaN, Infinity, -Infinity, 1e308], "b": "\\ud83d\\ude00 \\\\ud800"}')
    assert str(document["a"]) == "[nan, inf, -inf, 1e+308]"
    assert document["b"] == "😀 \\ud800"


def test_integers_beyond_64_bits_are_floating_point_numbers() -> None:
    document = parse(b'{"a": [18446744073709551615, 18446744073709551616, -9223372036854775809]}')
    assert document["a"] == [2**64 - 1, 2.0**64, -(2.0**63)]
    assert [type(number) for number in document["a"]] == [int, float, float]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "Null"),
        (True, "True"),
        (False, "False"),
        ({}, "Object"),
        ([], "Array"),
        ("", "String"),
        (1, "Number"),
        (1.5, "Number"),
    ],
)
def test_types_have_the_names_of_the_real_server(value: Any, name: str) -> None:
    assert type_name(value) == name


def test_a_long_value_is_quoted_in_part() -> None:
    assert (
        quote({"a": [1.5, "x"], "b": {}})
        == '{\n    "a": [\n        1.5,\n        "x"\n    ],\n    "b": {}\n}'
    )
    assert quote("x" * 1000) == f'"{"x" * 255}...'
    deep = json.loads("[" * 500 + "]" * 500)
    assert quote(deep).endswith("...")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9000000, "9e+06"),
        (999999, "999999.0"),
        (0.5, "0.5"),
        (0.0003, "0.0003"),
        (0.00003, "3e-05"),
        (555557.5, "555557.5"),
        (3, "3.0"),
        (-0.0, "-0.0"),
        (0.2, "0.2"),
        (1 / 3, "0.333333343"),
        (16777217.0, "16777216.0"),
        (3.4028235e38, "3.40282347e+38"),
        (1e-45, "1.4013e-45"),
        (0.1234567, "0.123456702"),
        (np.nan, "NaN"),
        (np.inf, "Infinity"),
        (-np.inf, "-Infinity"),
    ],
)
def test_a_float_has_six_digits_or_all_and_a_point_or_an_exponent(value: float, text: str) -> None:
    assert write_decimals(np.array([value], dtype=np.float32)) == [text]


def test_doubles_have_17_digits_if_6_do_not_do() -> None:
    assert write_decimals(np.array([0.1, 1 / 3, 12345678.0])) == ["0.1", "0.33333333333333331", "12345678.0"]


def test_written_floats_read_back_as_the_same() -> None:
    values = np.random.default_rng(0).normal(size=2000).astype(np.float32)
    values *= np.float32(10) ** np.random.default_rng(1).integers(-30, 30, size=2000).astype(np.float32)
    np.testing.assert_array_equal(np.array(write_decimals(values), dtype=np.float32), values)
