"""Batches of rows: several requests become one, and its answer becomes theirs. Dimension 0 is the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np

from serving.server.status_error import StatusError, invalid_argument

Array = np.ndarray[Any, Any]
Inputs = Mapping[str, Array]


def num_rows(inputs: Inputs) -> int:
    """The number of rows of one request.

    Raises:
        StatusError: If its tensors do not have the same number.
    """
    if not inputs:
        raise invalid_argument("Batching Run() must have at least one input tensor")
    sizes = set()
    for array in inputs.values():
        if array.ndim == 0:
            raise invalid_argument("Batching Run() input tensors must have at least one dimension")
        sizes.add(array.shape[0])
    if len(sizes) > 1:
        raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def merge(requests: Sequence[Inputs], *, widen: bool, num_padding_rows: int) -> dict[str, Array]:
    """Puts requests of the same tensors below each other.

    Args:
        requests: The tensors of each, by name.
        widen: Whether narrower tensors are made as wide as the widest, at the end of each dimension, with
            their own first element.
        num_padding_rows: Copies to add of the first row of the last request that has rows.

    Raises:
        StatusError: If the requests do not fit together; then none of them can be answered.
    """
    merged = {}
    for name in requests[0]:
        arrays = [request[name] for request in requests]
        if widen:
            arrays = _widen(name, arrays)
        elif any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
            raise _different_shapes(name)
        if num_padding_rows:
            filler = next((array[:1] for array in reversed(arrays) if len(array)), arrays[-1])
            arrays.append(np.repeat(filler, num_padding_rows, axis=0))
        merged[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return merged


def split(outputs: Mapping[str, Array], sizes: Sequence[int], *, num_padding_rows: int) -> list[Inputs]:
    """Gives each request its rows of a batch's outputs.

    Args:
        outputs: The tensors of the batch, by name.
        sizes: The number of rows of each request.
        num_padding_rows: Rows after them that belong to nobody.

    Raises:
        StatusError: If an output does not have one row for each row of the batch.
    """
    for array in outputs.values():
        if array.ndim == 0:
            raise _unbatched("Batched output tensor has 0 dimensions")
        if array.shape[0] != sum(sizes) + num_padding_rows:
            raise _unbatched(
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of "
                "the input tensors"
            )
    ends = np.cumsum(sizes).tolist()
    return [
        {name: array[end - size : end] for name, array in outputs.items()}
        for size, end in zip(sizes, ends, strict=True)
    ]


def _widen(name: str, arrays: Sequence[Array]) -> list[Array]:
    if len({array.ndim for array in arrays}) > 1:
        raise _different_shapes(name)
    widest = np.max([array.shape[1:] for array in arrays], axis=0).tolist()
    widened = []
    for array in arrays:
        shape = (len(array), *widest)
        if array.shape == shape:
            widened.append(array)
            continue
        if array.size == 0 and math.prod(shape) > 0:
            raise invalid_argument("Got empty tensor in batch of non-empty tensors.")
        first = array.reshape(-1)[0] if array.size else 0
        wide = np.full(shape, first, array.dtype)
        wide[tuple(map(slice, array.shape))] = array
        widened.append(wide)
    return widened


def _different_shapes(name: str) -> StatusError:
    return StatusError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. "
        "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
        "dimensions starting with the first dim.",
    )


def _unbatched(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.FAILED_PRECONDITION, message)
