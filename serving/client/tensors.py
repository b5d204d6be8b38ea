"""Conversions between NumPy arrays and ``TensorProto``.

They work on any message with TensorProto's fields: that of ``serving.client.messages`` and TensorFlow's own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serving.client.messages import DATA_TYPES

# Each type's name leads to NumPy's type and to the typed field that holds its values.
_TYPES: dict[str, tuple[type[np.generic], str]] = {
    "DT_FLOAT": (np.float32, "float_val"),
    "DT_DOUBLE": (np.float64, "double_val"),
    "DT_HALF": (np.float16, "half_val"),
    "DT_INT8": (np.int8, "int_val"),
    "DT_INT16": (np.int16, "int_val"),
    "DT_INT32": (np.int32, "int_val"),
    "DT_INT64": (np.int64, "int64_val"),
    "DT_UINT8": (np.uint8, "int_val"),
    "DT_UINT16": (np.uint16, "int_val"),
    "DT_UINT32": (np.uint32, "uint32_val"),
    "DT_UINT64": (np.uint64, "uint64_val"),
    "DT_BOOL": (np.bool_, "bool_val"),
    "DT_STRING": (np.object_, "string_val"),
}
_BY_NUMBER = {number: _TYPES[name] for number, name in DATA_TYPES.items() if name in _TYPES}
_NUMBERS = {np.dtype(_TYPES[name][0]): number for number, name in DATA_TYPES.items() if name in _TYPES}

# A few bytes may stand for a whole tensor by repeating one value. The limit keeps such a message from asking
# for all of the memory.
_MAX_REPEATED = 2**24


def fill(proto: Any, array: np.ndarray[Any, Any]) -> None:
    """Writes ``array`` into the typed field of the empty TensorProto ``proto``, as the real server does.

    Args:
        proto: The message to fill.
        array: An array of any shape; strings are an object array of utf-8 ``bytes``.

    Raises:
        ValueError: If TensorProto has no typed field for the array's type.
    """
    number = _NUMBERS.get(array.dtype)
    if number is None:
        raise ValueError(
            f"A tensor must hold numbers, booleans or bytes objects. Got an array of {array.dtype}."
        )
    field = _BY_NUMBER[number][1]
    proto.dtype = number
    # An empty shape means "rank 0" only if the field is present.
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = array.reshape(-1)
    if field in ("float_val", "double_val"):
        # The values go in as the bytes of the message, which is a hundred times faster than one at a time.
        proto.MergeFromString(_packed(proto.DESCRIPTOR.fields_by_name[field].number, flat.tobytes()))
    else:
        getattr(proto, field).extend((flat.view(np.uint16) if field == "half_val" else flat).tolist())


def _packed(field_number: int, values: bytes) -> bytes:
    """A packed repeated field on the wire: tag, length, values."""
    length = bytearray()
    rest = len(values)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    length.append(rest)
    return bytes([field_number << 3 | 2]) + bytes(length) + values


def to_array(proto: Any) -> np.ndarray[Any, Any]:
    """Reads a TensorProto from ``tensor_content`` or from its typed field.

    TensorFlow writes compressed forms: a typed field with fewer values than the shape repeats its last value,
    and one without values stands for zeros.

    Raises:
        ValueError: If the type is unknown, if the rank is unknown, or if content and shape do not fit.
    """
    if proto.dtype not in _BY_NUMBER:
        name = DATA_TYPES.get(proto.dtype, proto.dtype)
        raise ValueError(f"A tensor's type must be one of {', '.join(_TYPES)}. Got {name}.")
    dtype, field = _BY_NUMBER[proto.dtype]
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise ValueError(f"A tensor's shape must be known. Got {shape}.")
    if proto.tensor_content:
        if dtype is np.object_:
            raise ValueError("A string tensor must be in string_val. Got tensor_content.")
        # An array of frombuffer is read-only and shares the message's memory, so it is copied.
        return np.frombuffer(proto.tensor_content, dtype=dtype).reshape(shape).copy()

    count = math.prod(shape)
    values = getattr(proto, field)[:count]
    if field == "half_val":
        given = np.array(values, dtype=np.uint16).view(np.float16)
    else:
        given = np.array(values, dtype=dtype)
    if len(given) == count:
        return given.reshape(shape)
    if count > _MAX_REPEATED:
        raise ValueError(f"A tensor of shape {shape} must be sent whole. Got {len(given)} of its values.")
    padding = given[-1] if len(given) else (b"" if dtype is np.object_ else dtype(0))
    array = np.full(count, padding, dtype=dtype)
    array[: len(given)] = given
    return array.reshape(shape)
