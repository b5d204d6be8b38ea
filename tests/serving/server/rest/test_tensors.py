from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2

from serving.server.rest.tensors import to_array
from serving.server.status_error import StatusError


@pytest.mark.parametrize(
    ("type_name", "value", "dtype"),
    [
        ("FLOAT", [1, 2.5, -3], np.float32),
        ("FLOAT", [float("nan"), float("inf"), -float("inf")], np.float32),
        ("FLOAT", [2**24 - 1, -(2**24) + 1, 3.4e38], np.float32),
        ("DOUBLE", [[0.1, 1e300], [2, 2**53 - 1]], np.float64),
        ("INT8", [-128, 127], np.int8),
        ("UINT8", [0, 255], np.uint8),
        ("INT16", [-(2**15), 2**15 - 1], np.int16),
        ("INT32", [[-(2**31)], [2**31 - 1]], np.int32),
        ("UINT32", [2**32 - 1], np.uint32),
        ("INT64", [-(2**63), 2**63 - 1], np.int64),
        ("UINT64", [0, 2**64 - 1], np.uint64),
        ("BOOL", [[[True], [False]]], np.bool_),
        ("INT64", 7, np.int64),
        ("FLOAT", [], np.float32),
        ("STRING", [[], []], np.object_),
    ],
)
def test_a_value_has_the_type_of_the_signature(type_name: str, value: Any, dtype: type[np.generic]) -> None:
    array = to_array(value, types_pb2.DataType.Value(f"DT_{type_name}"))
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, np.array(value, dtype=dtype))


def test_strings_are_utf8_or_base64() -> None:
    array = to_array([["é", {"b64": "/wA="}], ["", {"b64": "aGk"}]], types_pb2.DT_STRING)
    assert array.tolist() == [["é".encode(), b"\xff\x00"], [b"", b"hi"]]


@pytest.mark.parametrize(
    ("type_name", "value", "message"),
    [
        ("FLOAT", "x", 'JSON Value: "x" Type: String is not of expected type: float'),
        ("FLOAT", [1.0, None], "JSON Value: null Type: Null is not of expected type: float"),
        ("FLOAT", [True, 1.0], "JSON Value: true Type: True is not of expected type: float"),
        ("FLOAT", {"a": 1}, 'JSON Value: {\n    "a": 1\n} Type: Object is not of expected type: float'),
        ("FLOAT", [1e39], "Cannot convert JSON value: 1e+39 to float without loss of precision."),
        ("FLOAT", [2**24 + 1], "Cannot convert JSON value: 16777217 to float without loss of precision."),
        (
            "DOUBLE",
            [2**53 + 1],
            "Cannot convert JSON value: 9007199254740993 to double without loss of precision.",
        ),
        ("INT32", [1, 2.0], "JSON Value: 2.0 Type: Number is not of expected type: int32"),
        ("INT32", [2**31], "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        ("UINT8", [-1], "JSON Value: -1 Type: Number is not of expected type: uint8"),
        ("INT64", [2**63], "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64"),
        ("INT64", [float("nan")], "JSON Value: NaN Type: Number is not of expected type: int64"),
        ("BOOL", [1], "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("STRING", ["a", 1.5], "JSON Value: 1.5 Type: Number is not of expected type: string"),
        ("STRING", [{"b64": 1}], 'JSON Value: {\n    "b64": 1\n} not formatted correctly for base64 data'),
        ("STRING", [{"b64": "%"}], "Unable to base64 decode"),
        ("STRING", [{"b64": "é"}], "Unable to base64 decode"),
        ("INT32", [[1, 2], [3]], "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ("INT32", [1, [2]], "Encountered list at unexpected level: 1 expected < 1"),
        (
            "INT32",
            [[1], 2],
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        (
            "INT32",
            [[1], "x"],
            'JSON Value: "x" found at incorrect level: 2 in the JSON DOM. Expected at level: 2',
        ),
    ],
)
def test_what_is_not_of_the_type_or_not_regular_is_refused(type_name: str, value: Any, message: str) -> None:
    with pytest.raises(StatusError) as raised:
        to_array(value, types_pb2.DataType.Value(f"DT_{type_name}"))
    assert raised.value.message == message
    assert raised.value.error_code == 3


def test_lists_nested_deeper_than_a_tensor_can_be_are_refused() -> None:
    deep = json.loads("[" * 900 + "1" + "]" * 900)
    with pytest.raises(StatusError, match="at most 64 dimensions"):
        to_array(deep, types_pb2.DT_INT32)
    level_64: Any = 1
    for _ in range(64):
        level_64 = [level_64]
    assert to_array(level_64, types_pb2.DT_INT32).ndim == 64
