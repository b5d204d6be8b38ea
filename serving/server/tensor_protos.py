"""Tensors in requests and answers, in every form the real server reads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.client import tensors

Array = np.ndarray[Any, Any]


def read(proto: tensor_pb2.TensorProto) -> Array:
    """Reads a tensor; strings become an object array of ``bytes``.

    Raises:
        ValueError: If type, shape and values do not fit each other.
    """
    if proto.dtype == types_pb2.DT_STRING and proto.tensor_content:
        shape = tuple(dim.size for dim in proto.tensor_shape.dim)
        return _decode_strings(proto.tensor_content, math.prod(shape)).reshape(shape)
    return tensors.to_array(proto)


def write(proto: tensor_pb2.TensorProto, array: Array, *, as_content: bool = False) -> None:
    """Writes ``array`` into the empty message ``proto``.

    Args:
        proto: The message to fill.
        array: Any shape; strings are an object array of ``bytes``.
        as_content: Whether to write bytes into ``tensor_content`` instead of values into the typed field.
    """
    if not as_content:
        tensors.fill(proto, array)
        return
    proto.dtype = tf.as_dtype(array.dtype).as_datatype_enum
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    is_text = proto.dtype == types_pb2.DT_STRING
    proto.tensor_content = _encode_strings(array.reshape(-1)) if is_text else array.tobytes()


def _encode_strings(texts: Array) -> bytes:
    """All lengths as base-128 numbers, then all texts: TensorFlow's form of strings as content."""
    lengths = bytearray()
    for text in texts:
        rest = len(text)
        while rest > 127:
            lengths.append(rest & 127 | 128)
            rest >>= 7
        lengths.append(rest)
    return bytes(lengths) + b"".join(texts.tolist())


def _decode_strings(content: bytes, count: int) -> Array:
    lengths: list[int] = []
    position = shift = value = 0
    while len(lengths) < count:
        if position == len(content) or shift > 28:
            raise ValueError(f"The content must begin with {count} lengths. Got {len(lengths)}.")
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            lengths.append(value)
            shift = value = 0
    if sum(lengths) != len(content) - position:
        raise ValueError(
            f"The content must hold {sum(lengths)} bytes of text. Got {len(content) - position}."
        )
    array = np.empty(count, np.object_)
    for index, length in enumerate(lengths):
        array[index] = content[position : position + length]
        position += length
    return array
