"""Tensors of a predict request's body: by row (``instances``) or by column (``inputs``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.server.rest.json import quote
from serving.server.rest.tensors import MAX_RANK, Array, is_base64, to_array
from serving.server.status_error import StatusError, invalid_argument

Infos = Mapping[str, meta_graph_pb2.TensorInfo]


def read_inputs(document: Mapping[str, Any], infos: Infos) -> tuple[dict[str, Array], bool]:
    """Reads the tensors of a request.

    Args:
        document: The request's body.
        infos: The inputs of the signature by alias, which say what type each has.

    Returns:
        The tensors by alias, strings as ``bytes``, and whether they came by row, so that the answer goes by
        row too.

    Raises:
        StatusError: If they are not there, not regular, or not of the signature's types.
    """
    if "instances" in document and "inputs" in document:
        raise invalid_argument(
            f"JSON Value: {quote(document)} Not formatted correctly expecting only "
            "one of 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise invalid_argument(f"JSON Value: {quote(document)} Excepting 'instances' to be an list/array")
        if not instances:
            raise invalid_argument(f"JSON Value: {quote(document)} No values in 'instances' array")
        return _read_rows(instances, infos), True
    if "inputs" in document:
        return _read_columns(document["inputs"], infos), False
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _read_rows(instances: list[Any], infos: Infos) -> dict[str, Array]:
    are_objects = _is_object(instances[0])
    if len(infos) > 1 and not are_objects:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    try:
        if are_objects:
            if all(_is_object(element) and element.keys() == infos.keys() for element in instances):
                return {
                    alias: to_array([element[alias] for element in instances], info.dtype)
                    for alias, info in infos.items()
                }
        elif not any(map(_is_object, instances)):
            return {alias: to_array(instances, info.dtype) for alias, info in infos.items()}
    except StatusError:
        # The error tells of a column; the person who asked wrote rows.
        pass
    raise _find_row_fault(instances, infos, are_objects)


def _find_row_fault(instances: list[Any], infos: Infos, are_objects: bool) -> StatusError:
    shapes: dict[str, tuple[int, ...]] = {}
    for index, element in enumerate(instances):
        if _is_object(element) != are_objects:
            found = "object but got list" if are_objects else "value/list but got object"
            return invalid_argument(f"Expecting {found} at item {index} of input list")
        items = element.items() if are_objects else [(alias, element) for alias in infos]
        for alias, value in items:
            try:
                _check_item(alias, value, infos, shapes)
            except StatusError as error:
                key = f" key: {alias}" if are_objects else ""
                return invalid_argument(
                    f"Failed to process element: {index}{key} of 'instances' list. "
                    f"Error: {error.code.name}: {error.message}"
                )
        if are_objects and element.keys() != infos.keys():
            return invalid_argument(
                f"Failed to process element: {index} of 'instances' list. JSON object: {quote(element)} "
                f"keys must be equal to: {','.join(sorted(infos))}"
            )
    return invalid_argument(f"The rows together must make tensors of at most {MAX_RANK} dimensions.")


def _check_item(alias: str, value: Any, infos: Infos, shapes: dict[str, tuple[int, ...]]) -> None:
    if alias not in infos:
        raise invalid_argument(f"JSON object: does not have named input: {alias}")
    shape = to_array(value, infos[alias].dtype).shape
    expected = shapes.setdefault(alias, shape)
    if np.prod(shape) != np.prod(expected):
        raise invalid_argument(
            f"Expecting tensor size: {np.prod(expected):.0f} but got: {np.prod(shape):.0f}"
        )
    if shape != expected:
        raise invalid_argument(f"Expecting shape {_join(expected)} but got: {_join(shape)}")


def _join(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _read_columns(inputs: Any, infos: Infos) -> dict[str, Array]:
    if not _is_object(inputs):
        if len(infos) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        return {alias: to_array(inputs, info.dtype) for alias, info in infos.items()}
    arrays = {}
    for alias, info in sorted(infos.items()):
        if alias not in inputs:
            raise invalid_argument(
                f"Missing named input: {alias} in 'inputs' object. Every input must be there: "
                f"{json.dumps({'inputs': empty_inputs(infos)})}"
            )
        arrays[alias] = to_array(inputs[alias], info.dtype)
    return arrays


def empty_inputs(infos: Infos) -> dict[str, Any]:
    """One value of nothing for each input, in as many lists as it has dimensions."""
    values: dict[str, Any] = {}
    for alias, info in sorted(infos.items()):
        dtype = tf.as_dtype(info.dtype)
        value: Any = "" if dtype == tf.string else dtype.as_numpy_dtype(0).item()
        for _ in info.tensor_shape.dim:
            value = [value]
        values[alias] = value
    return values


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)
