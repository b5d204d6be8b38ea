"""JSON that answers a predict request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.framework import tensor_pb2

from serving.client import tensors
from serving.server.rest.json import (
    write_array,
    write_decimals,
    write_object,
    write_string,
)
from serving.server.status_error import invalid_argument

Array = np.ndarray[Any, Any]


def write_outputs(outputs: Mapping[str, tensor_pb2.TensorProto], *, by_row: bool) -> str:
    """Writes the answer to a predict request, by row or by column as the request was.

    Args:
        outputs: The signature's outputs by alias.
        by_row: Whether to write ``predictions``, one entry a row, or ``outputs``, one entry an output.

    Raises:
        StatusError: If by row they do not have the same number of rows.
    """
    arrays = {alias: tensors.to_array(outputs[alias]) for alias in sorted(outputs)}
    if by_row:
        return write_object([("predictions", _write_rows(arrays))], depth=0)
    if len(arrays) == 1:
        (written,) = (_write_column(array, depth=1) for array in arrays.values())
    else:
        columns = [(alias, _write_column(array, depth=2)) for alias, array in arrays.items()]
        written = write_object(columns, depth=1)
    return write_object([("outputs", written)], depth=0)


def _write_rows(arrays: Mapping[str, Array]) -> str:
    num_rows = -1
    for alias, array in arrays.items():
        if array.ndim == 0:
            raise invalid_argument(f"Tensor name: {alias} has no shape information ")
        if num_rows not in (-1, array.shape[0]):
            raise invalid_argument(
                f"Tensor name: {alias} has inconsistent batch size: {array.shape[0]} expecting: {num_rows}"
            )
        num_rows = array.shape[0]
    if not num_rows:
        return "[]"
    columns = {alias: _write_entries(array) for alias, array in arrays.items()}
    if len(columns) == 1:
        # The rows stand in one line; only the bracket that ends them begins another.
        (rows,) = columns.values()
        return f"{write_array(rows).removesuffix(']')}\n    ]"
    rows = [
        write_object(zip(columns, row, strict=True), depth=2) for row in zip(*columns.values(), strict=True)
    ]
    return write_array(rows, depth=1)


def _write_entries(array: Array) -> list[str]:
    """The entries of the first dimension, each in one line."""
    texts = _write_values(array)
    for axis in range(array.ndim - 1, 0, -1):
        count, size = _count(array.shape[:axis]), array.shape[axis]
        texts = [write_array(texts[size * i : size * (i + 1)]) for i in range(count)]
    return texts


def _write_column(array: Array, *, depth: int) -> str:
    """The whole tensor, one value a line."""
    texts = _write_values(array)
    for axis in range(array.ndim - 1, -1, -1):
        count, size = _count(array.shape[:axis]), array.shape[axis]
        texts = [write_array(texts[size * i : size * (i + 1)], depth=depth + axis) for i in range(count)]
    return texts[0]


def _count(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _write_values(array: Array) -> list[str]:
    values = array.reshape(-1)
    if values.dtype == np.object_:
        return [write_string(value) for value in values]
    if values.dtype == np.bool_:
        return ["true" if value else "false" for value in values]
    if values.dtype in (np.float32, np.float64):
        return write_decimals(values)
    return [str(value) for value in values.tolist()]
