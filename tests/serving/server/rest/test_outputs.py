from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.server.rest.outputs import write_outputs
from serving.server.status_error import StatusError


def _protos(**arrays: Any) -> dict[str, tensor_pb2.TensorProto]:
    return {alias: tf.make_tensor_proto(array) for alias, array in arrays.items()}


def _floats(values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.float32)


_FLOATS = _floats([[1, 2.5], [3, 4]])


def test_rows_of_one_output_stand_in_one_line() -> None:
    assert write_outputs(_protos(y=_floats([3.5, 4.0, 5.5])), by_row=True) == (
        '{\n    "predictions": [3.5, 4.0, 5.5\n    ]\n}'
    )
    assert write_outputs(_protos(y=_FLOATS), by_row=True) == (
        '{\n    "predictions": [[1.0, 2.5], [3.0, 4.0]\n    ]\n}'
    )


def test_rows_of_several_outputs_are_objects() -> None:
    protos = _protos(y=_FLOATS, ids=[[b"a"], [b"b"]], n=np.array([7, -8]))
    assert write_outputs(protos, by_row=True) == (
        "{\n"
        '    "predictions": [\n'
        "        {\n"
        '            "ids": ["a"],\n'
        '            "n": 7,\n'
        '            "y": [1.0, 2.5]\n'
        "        },\n"
        "        {\n"
        '            "ids": ["b"],\n'
        '            "n": -8,\n'
        '            "y": [3.0, 4.0]\n'
        "        }\n"
        "    ]\n"
        "}"
    )


def test_columns_have_one_value_a_line() -> None:
    assert write_outputs(_protos(y=_floats([[1], [2]])), by_row=False) == (
        "{\n"
        '    "outputs": [\n'
        "        [\n"
        "            1.0\n"
        "        ],\n"
        "        [\n"
        "            2.0\n"
        "        ]\n"
        "    ]\n"
        "}"
    )
    assert write_outputs(_protos(y=np.float32(1.5), t=[True, False]), by_row=False) == (
        "{\n"
        '    "outputs": {\n'
        '        "t": [\n'
        "            true,\n"
        "            false\n"
        "        ],\n"
        '        "y": 1.5\n'
        "    }\n"
        "}"
    )


def test_text_that_is_no_utf8_goes_out_as_it_is() -> None:
    text = write_outputs(_protos(name=[b"\xff\xc3\xa9"]), by_row=True)
    assert text.encode(errors="surrogateescape") == b'{\n    "predictions": ["\xff\xc3\xa9"\n    ]\n}'


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 0), (1, 1, 1, 1), (2, 3, 0, 2)])
def test_any_shape_reads_back(shape: tuple[int, ...], by_row: bool) -> None:
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    (value,) = json.loads(write_outputs(_protos(y=array), by_row=by_row)).values()
    assert value == array.tolist()


def test_no_rows_are_an_empty_list() -> None:
    protos = _protos(y=np.zeros((0, 3), np.float32), n=np.zeros(0, np.int32))
    assert json.loads(write_outputs(protos, by_row=True)) == {"predictions": []}


@pytest.mark.parametrize(
    ("protos", "message"),
    [
        (_protos(y=np.float32(1)), "Tensor name: y has no shape information "),
        (
            _protos(a=_floats([1, 2]), b=_floats([1, 2, 3])),
            "Tensor name: b has inconsistent batch size: 3 expecting: 2",
        ),
    ],
)
def test_outputs_that_rows_cannot_show_are_refused(
    protos: dict[str, tensor_pb2.TensorProto], message: str
) -> None:
    with pytest.raises(StatusError) as raised:
        write_outputs(protos, by_row=True)
    assert raised.value.message == message
    assert raised.value.error_code == 3
