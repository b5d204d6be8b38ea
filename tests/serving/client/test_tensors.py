from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.client import messages, tensors

_NUMBERS = np.array([[0, 1, 2], [3, 4, 100]])
_TYPES = [
    np.float16,
    np.float32,
    np.float64,
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.uint8,
    np.uint16,
    np.uint32,
    np.uint64,
    np.bool_,
]
_STRINGS = np.array([b"", "grün".encode(), b"\xff\x00"], np.object_)


@pytest.mark.parametrize("array", [*(_NUMBERS.astype(dtype) for dtype in _TYPES), _STRINGS], ids=str)
@pytest.mark.parametrize("message", [messages.TensorProto, tensor_pb2.TensorProto])
def test_what_is_written_reads_as_in_tensorflow(array: np.ndarray[Any, Any], message: Any) -> None:
    proto = message()

    tensors.fill(proto, array)

    real = tf.make_ndarray(tensor_pb2.TensorProto.FromString(proto.SerializeToString()))
    assert proto.tensor_content == b""
    np.testing.assert_array_equal(real, array)
    np.testing.assert_array_equal(tensors.to_array(proto), array)
    assert tensors.to_array(proto).dtype == array.dtype


@pytest.mark.parametrize("array", [*(_NUMBERS.astype(dtype) for dtype in _TYPES), _STRINGS], ids=str)
def test_what_tensorflow_writes_is_read(array: np.ndarray[Any, Any]) -> None:
    proto = messages.TensorProto.FromString(tf.make_tensor_proto(array).SerializeToString())

    np.testing.assert_array_equal(tensors.to_array(proto), array)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1, 1, 1)])
def test_every_shape_survives(shape: tuple[int, ...]) -> None:
    proto = messages.TensorProto()

    tensors.fill(proto, np.zeros(shape, np.int64))

    assert tensors.to_array(proto).shape == shape


def test_fewer_values_than_the_shape_repeat_the_last() -> None:
    proto = messages.TensorProto(dtype=1, float_val=[1.0, 2.0])
    proto.tensor_shape.dim.add(size=4)

    np.testing.assert_array_equal(tensors.to_array(proto), np.array([1, 2, 2, 2], np.float32))


def test_no_values_are_zeros() -> None:
    proto = messages.TensorProto(dtype=7)
    proto.tensor_shape.dim.add(size=2)

    assert tensors.to_array(proto).tolist() == [b"", b""]


@pytest.mark.parametrize("size", [2**30, 2**62])
def test_few_bytes_cannot_ask_for_all_memory(size: int) -> None:
    proto = messages.TensorProto(dtype=1, float_val=[1.0])
    proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.dim.add(size=4)

    with pytest.raises(ValueError, match=r"must be sent whole\. Got 1 of its values"):
        tensors.to_array(proto)


@pytest.mark.parametrize("count", [127, 128, 20_000])
def test_many_floats_survive(count: int) -> None:
    array = np.random.default_rng(0).normal(size=(count, 1)).astype(np.float32)
    proto = tensor_pb2.TensorProto()

    tensors.fill(proto, array)

    assert len(proto.float_val) == count
    np.testing.assert_array_equal(tensors.to_array(proto), array)


def test_content_that_does_not_fit_the_shape_is_refused() -> None:
    proto = messages.TensorProto(dtype=1, tensor_content=b"\x00" * 8)
    proto.tensor_shape.dim.add(size=3)

    with pytest.raises(ValueError, match="reshape"):
        tensors.to_array(proto)


def test_unknown_type_and_rank_are_refused() -> None:
    with pytest.raises(ValueError, match=r"type must be one of .* Got DT_INVALID"):
        tensors.to_array(messages.TensorProto())
    with pytest.raises(ValueError, match="shape must be known"):
        tensors.to_array(messages.TensorProto(dtype=1, tensor_shape={"unknown_rank": True}))


def test_array_of_text_instead_of_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bytes objects\. Got an array of <U1"):
        tensors.fill(messages.TensorProto(), np.array(["a"]))
