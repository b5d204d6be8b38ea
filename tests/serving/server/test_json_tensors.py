from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.server.json_tensors import read_inputs, to_array
from serving.server.status_error import StatusError


def _infos(**types: str) -> dict[str, meta_graph_pb2.TensorInfo]:
    return {
        alias: meta_graph_pb2.TensorInfo(dtype=types_pb2.DataType.Value(f"DT_{name}"))
        for alias, name in types.items()
    }


def _message(document: dict[str, Any], infos: dict[str, meta_graph_pb2.TensorInfo]) -> str:
    with pytest.raises(StatusError) as raised:
        read_inputs(document, infos)
    assert raised.value.error_code == 3
    return raised.value.message


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


def test_types_that_json_has_no_form_for_are_unimplemented() -> None:
    with pytest.raises(StatusError) as raised:
        to_array([1.5], types_pb2.DT_HALF)
    assert raised.value.error_code == 12
    assert raised.value.message == "Conversion of JSON Value: 1.5 to type: half"


def test_lists_nested_deeper_than_a_tensor_can_be_are_refused() -> None:
    deep = json.loads("[" * 900 + "1" + "]" * 900)
    with pytest.raises(StatusError, match="at most 64 dimensions"):
        to_array(deep, types_pb2.DT_INT32)
    assert "at most 64 dimensions" in _message({"instances": [deep]}, _infos(x="INT32"))
    level_64: Any = 1
    for _ in range(64):
        level_64 = [level_64]
    assert to_array(level_64, types_pb2.DT_INT32).ndim == 64
    assert "at most 64 dimensions" in _message({"instances": [level_64]}, _infos(x="INT32"))


def test_rows_of_objects_become_tensors_with_a_batch_dimension() -> None:
    rows = [{"x": [1, 2], "s": "a"}, {"s": {"b64": base64.b64encode(b"b").decode()}, "x": [3, 4]}]
    arrays, by_row = read_inputs({"instances": rows}, _infos(x="INT32", s="STRING"))
    assert by_row
    assert arrays["x"].tolist() == [[1, 2], [3, 4]]
    assert arrays["s"].tolist() == [b"a", b"b"]


def test_rows_of_values_are_the_only_input() -> None:
    arrays, by_row = read_inputs({"instances": [{"b64": "YQ=="}, "b"]}, _infos(s="STRING"))
    assert by_row
    assert arrays["s"].tolist() == [b"a", b"b"]


def test_columns_are_tensors_as_they_are() -> None:
    inputs = {"x": [[1, 2], [3, 4]], "s": "a", "ignored": 1}
    arrays, by_row = read_inputs({"inputs": inputs}, _infos(x="INT32", s="STRING"))
    assert not by_row
    assert arrays["x"].tolist() == [[1, 2], [3, 4]]
    assert arrays["s"].shape == ()
    assert read_inputs({"inputs": [5]}, _infos(x="INT32"))[0]["x"].tolist() == [5]
    assert read_inputs({"inputs": {"b64": "YQ=="}}, _infos(s="STRING"))[0]["s"].item() == b"a"


_TWO = _infos(x="INT32", s="STRING")
_ONE = _infos(x="INT32")


@pytest.mark.parametrize(
    ("document", "infos", "message"),
    [
        ({}, _ONE, "Missing 'inputs' or 'instances' key"),
        (
            {"inputs": [1], "instances": [1]},
            _ONE,
            'JSON Value: {\n    "inputs": [\n        1\n    ],\n    "instances": [\n        1\n    ]\n} '
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            {"instances": 1},
            _ONE,
            "JSON Value: {\n    \"instances\": 1\n} Excepting 'instances' to be an list/array",
        ),
        ({"instances": []}, _ONE, "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (
            {"instances": [1, 2]},
            _TWO,
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map",
        ),
        (
            {"inputs": [1, 2]},
            _TWO,
            "inputs is a plain value/list, but expecting an object as multiple "
            "input tensors required as per tensorinfo_map",
        ),
        ({"inputs": {"x": [1]}}, _TWO, "Missing named input: s in 'inputs' object."),
        (
            {"inputs": {"x": ["a"], "s": ["a"]}},
            _TWO,
            'JSON Value: "a" Type: String is not of expected type: int32',
        ),
        (
            {"instances": [1, "x"]},
            _ONE,
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "x" Type: String is not of expected type: int32',
        ),
        (
            {"instances": [{"x": 1, "s": "a"}, {"x": 1, "s": 2}]},
            _TWO,
            "Failed to process element: 1 key: s of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON Value: 2 Type: Number is not of expected type: string",
        ),
        (
            {"instances": [{"x": 1}]},
            _TWO,
            "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"x\": 1\n} "
            "keys must be equal to: s,x",
        ),
        (
            {"instances": [{"x": 1, "s": "a", "y": 2}]},
            _TWO,
            "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: y",
        ),
        (
            {"instances": [[1, 2], [3]]},
            _ONE,
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 2 but got: 1",
        ),
        (
            {"instances": [[1, 2], [[3, 4]]]},
            _ONE,
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting shape [2] but got: [1,2]",
        ),
        (
            {"instances": [{"x": 1, "s": "a"}, [1]]},
            _TWO,
            "Expecting object but got list at item 1 of input list",
        ),
        (
            {"instances": [1, {"x": 2}]},
            _ONE,
            "Expecting value/list but got object at item 1 of input list",
        ),
    ],
)
def test_a_request_that_does_not_fit_the_signature_is_refused(
    document: dict[str, Any], infos: dict[str, meta_graph_pb2.TensorInfo], message: str
) -> None:
    assert _message(document, infos) == message


def test_a_fault_is_found_in_random_json_rather_than_raised_as_anything_else() -> None:
    random = np.random.default_rng(0)

    def value(depth: int) -> Any:
        kind = random.integers(0, 11 if depth < 4 else 8)
        leaves = [None, True, -1, 2**64 - 1, 1e300, float("nan"), "é", {"b64": "YQ"}]
        if kind < len(leaves):
            return leaves[kind]
        if kind == 8:
            return {name: value(depth + 1) for name in "xsy"[: random.integers(0, 4)]}
        return [value(depth + 1) for _ in range(random.integers(0, 4))]

    outcomes: Counter[int] = Counter()
    for number in range(3000):
        type_name = str(random.choice(["INT32", "STRING", "FLOAT", "BOOL", "UINT64", "HALF"]))
        infos = _infos(x=type_name) if number % 2 else _infos(x=type_name, s="STRING")
        document = {str(random.choice(["instances", "inputs"])): value(0)}
        try:
            arrays, _ = read_inputs(document, infos)
            outcomes[int(arrays.keys() == infos.keys())] += 1
        except StatusError as error:
            outcomes[error.error_code] += 1
    assert outcomes.keys() == {1, 3, 12}
    assert outcomes[1] > 50
