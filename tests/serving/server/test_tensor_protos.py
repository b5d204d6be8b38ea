from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.server import tensor_protos

_ARRAYS = [
    np.array([[1.5, -2.0]], np.float32),
    np.array(7, np.int64),
    np.array([True, False]),
    np.array([[b"", b"\xff\x00"], [b"x" * 127, b"y" * 20_000]], np.object_),
    np.zeros((0, 3), np.object_),
]


@pytest.mark.parametrize("array", _ARRAYS, ids=lambda array: str(array.dtype))
@pytest.mark.parametrize("as_content", [False, True])
def test_what_is_written_is_read(array: np.ndarray[Any, Any], as_content: bool) -> None:
    proto = tensor_pb2.TensorProto()

    tensor_protos.write(proto, array, as_content=as_content)

    read = tensor_protos.read(proto)
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("array", _ARRAYS, ids=lambda array: str(array.dtype))
def test_what_tensorflow_writes_is_read(array: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(tensor_protos.read(tf.make_tensor_proto(array)), array)


def test_content_is_the_bytes_of_numbers_and_nothing_else() -> None:
    proto = tensor_pb2.TensorProto()

    tensor_protos.write(proto, np.array([1, 2], np.int32), as_content=True)

    assert proto.tensor_content == b"\x01\x00\x00\x00\x02\x00\x00\x00"
    assert not proto.int_val


def test_content_of_strings_is_their_lengths_then_their_bytes() -> None:
    proto = tensor_pb2.TensorProto()

    tensor_protos.write(proto, np.array([b"a" * 300, b"bc"], np.object_), as_content=True)

    assert proto.tensor_content == b"\xac\x02\x02" + b"a" * 300 + b"bc"


@pytest.mark.parametrize(
    "content",
    [b"\x01", b"\x01\x02ab", b"\x01\x02abcd", b"\xff\xff\xff\xff\xff\xff\xff\xff\x01ab"],
    ids=["lengths missing", "text missing", "text left over", "length too long"],
)
def test_content_that_does_not_hold_the_strings_is_refused(content: bytes) -> None:
    proto = tensor_pb2.TensorProto(dtype=tf.string.as_datatype_enum, tensor_content=content)
    proto.tensor_shape.dim.add(size=2)

    with pytest.raises(ValueError, match="The content must"):
        tensor_protos.read(proto)


@pytest.mark.parametrize("dtype", [tf.float32, tf.string])
def test_few_bytes_cannot_ask_for_all_memory(dtype: tf.DType) -> None:
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    for _ in range(3):
        proto.tensor_shape.dim.add(size=2**12)

    with pytest.raises(ValueError, match="must be sent whole"):
        tensor_protos.read(proto)


def test_strings_beyond_the_content_are_refused_at_once() -> None:
    proto = tensor_pb2.TensorProto(dtype=tf.string.as_datatype_enum, tensor_content=b"\x00")
    proto.tensor_shape.dim.add(size=2**62)

    with pytest.raises(ValueError, match="The content must begin"):
        tensor_protos.read(proto)


@pytest.mark.parametrize("dtype", [tf.resource.as_datatype_enum, tf.variant.as_datatype_enum, 0, 99, 101])
def test_type_that_no_value_has_is_refused(dtype: int) -> None:
    proto = tensor_pb2.TensorProto.FromString(bytes([8, dtype]))

    with pytest.raises(ValueError, match="type must be one of"):
        tensor_protos.read(proto)
