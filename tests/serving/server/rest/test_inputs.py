from __future__ import annotations

import base64
from collections import Counter
from typing import Any

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.server.rest.inputs import read_inputs
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


def test_rows_may_not_be_nested_so_deep_that_together_they_are_no_tensor() -> None:
    row: Any = 1
    for _ in range(64):
        row = [row]
    assert "at most 64 dimensions" in _message({"instances": [row]}, _infos(x="INT32"))


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
        (
            {"inputs": {"x": [1]}},
            _TWO,
            "Missing named input: s in 'inputs' object. Every input must be there: "
            '{"inputs": {"s": "", "x": 0}}',
        ),
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
        type_name = str(random.choice(["INT32", "STRING", "FLOAT", "BOOL", "UINT64"]))
        infos = _infos(x=type_name) if number % 2 else _infos(x=type_name, s="STRING")
        document = {str(random.choice(["instances", "inputs"])): value(0)}
        try:
            arrays, _ = read_inputs(document, infos)
            outcomes[int(arrays.keys() == infos.keys())] += 1
        except StatusError as error:
            outcomes[error.error_code] += 1
    assert outcomes.keys() == {1, 3}
    assert outcomes[1] > 50
