"""Tensors from JSON values.

Regular lists are converted as a whole. Only if that fails, the value is walked through, to say which element
is wrong, in the words of the real server.
"""

from __future__ import annotations

import base64
import binascii
from itertools import chain
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2

from serving.server.rest.json import quote, type_name
from serving.server.status_error import StatusError, invalid_argument

Array = np.ndarray[Any, Any]

_INTEGERS: dict[int, type[np.integer[Any]]] = {
    types_pb2.DT_INT8: np.int8,
    types_pb2.DT_INT16: np.int16,
    types_pb2.DT_INT32: np.int32,
    types_pb2.DT_INT64: np.int64,
    types_pb2.DT_UINT8: np.uint8,
    types_pb2.DT_UINT32: np.uint32,
    types_pb2.DT_UINT64: np.uint64,
}
_FLOATS: dict[int, type[np.floating[Any]]] = {
    types_pb2.DT_FLOAT: np.float32,
    types_pb2.DT_DOUBLE: np.float64,
}
# NumPy takes as many dimensions.
MAX_RANK = 64


def is_base64(value: Any) -> bool:
    """Whether ``value`` is an object that stands for bytes: ``{"b64": "..."}``."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def read_bytes(value: Any) -> bytes:
    """The bytes that a JSON string or ``{"b64": "..."}`` stands for.

    Raises:
        StatusError: If it is neither.
    """
    if isinstance(value, str):
        return value.encode()
    if not is_base64(value):
        raise invalid_argument(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    encoded = "".join(value["b64"].split())
    try:
        # The padding may be left out.
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("Unable to base64 decode") from error


def to_array(value: Any, data_type: types_pb2.DataType) -> Array:
    """Converts a JSON value, a scalar or nested lists, to a tensor of the type.

    Raises:
        StatusError: If the lists are not regular or hold something that is not of the type.
    """
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    if len(shape) > MAX_RANK:
        raise invalid_argument(
            f"A tensor must have at most {MAX_RANK} dimensions. Got lists nested {len(shape)} deep."
        )
    values = _flatten(value, shape)
    array = None if values is None else _convert(values, data_type)
    if array is None:
        raise _find_fault(value, shape, data_type, 0) or invalid_argument(
            f"JSON Value: {quote(value)} is no regular list of type: {_name(data_type)}"
        )
    return array.reshape(shape)


def _flatten(value: Any, shape: list[int]) -> list[Any] | None:
    """The values of regular lists in order; None when a list is missing or of another length."""
    level = [value]
    for size in shape:
        if any(not isinstance(entry, list) or len(entry) != size for entry in level):
            return None
        level = list(chain.from_iterable(level))
    return level


def _convert(values: list[Any], data_type: types_pb2.DataType) -> Array | None:
    """The values as one array ``[num_values]``; None when there is one that is not of the type."""
    types = set(map(type, values))
    if data_type == types_pb2.DT_STRING and types <= {str, dict}:
        array = np.empty(len(values), dtype=np.object_)
        array[:] = [read_bytes(value) for value in values]
        return array
    if data_type == types_pb2.DT_BOOL and types <= {bool}:
        return np.array(values, dtype=np.bool_)
    if data_type in _INTEGERS and types <= {int}:
        integer = np.iinfo(_INTEGERS[data_type])
        if not values or (min(values) >= integer.min and max(values) <= integer.max):
            return np.array(values, dtype=integer.dtype)
    if data_type in _FLOATS and types <= {int, float}:
        dtype = _FLOATS[data_type]
        doubles = np.array(values, dtype=np.float64)
        if int in types and not all(_is_lossless(value, dtype) for value in values):
            return None
        if not np.any(np.isfinite(doubles) & (np.abs(doubles) > np.finfo(dtype).max)):
            return doubles.astype(dtype)
    return None


def _is_lossless(value: float, dtype: type[np.floating[Any]]) -> bool:
    return not isinstance(value, int) or abs(value) < 2 ** (np.finfo(dtype).nmant + 1)


def _find_fault(
    value: Any, shape: list[int], data_type: types_pb2.DataType, level: int
) -> StatusError | None:
    if isinstance(value, list):
        if level >= len(shape):
            return invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            return invalid_argument(
                f"Encountered list at unexpected size: {len(value)} at level: {level} "
                f"expected size: {shape[level]}"
            )
        faults = (_find_fault(entry, shape, data_type, level + 1) for entry in value)
        return next((fault for fault in faults if fault is not None), None)
    if level != len(shape):
        return invalid_argument(
            f"JSON Value: {quote(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    return _find_value_fault(value, data_type)


def _find_value_fault(value: Any, data_type: types_pb2.DataType) -> StatusError | None:
    if data_type == types_pb2.DT_STRING and isinstance(value, dict):
        try:
            read_bytes(value)
        except StatusError as error:
            return error
        return None
    if _convert([value], data_type) is not None:
        return None
    if data_type in _FLOATS and type_name(value) == "Number":
        return invalid_argument(
            f"Cannot convert JSON value: {quote(value)} to {_name(data_type)} without loss of precision."
        )
    return invalid_argument(
        f"JSON Value: {quote(value)} Type: {type_name(value)} is not of expected type: {_name(data_type)}"
    )


def _name(data_type: types_pb2.DataType) -> str:
    return types_pb2.DataType.Name(data_type).removeprefix("DT_").lower()
