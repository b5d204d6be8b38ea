"""The JSON of classify and regress requests, which send ``tf.Example``, and of their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server.rest.json import (
    MAX_FLOAT,
    quote,
    type_name,
    write_array,
    write_decimals,
    write_object,
    write_string,
)
from serving.server.rest.tensors import is_base64, read_bytes
from serving.server.status_error import StatusError, invalid_argument

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def fill_input(document: Mapping[str, Any], message: input_pb2.Input) -> None:
    """Writes the examples of a request's body, and the context they share if there is one, into ``message``.

    Raises:
        StatusError: When there are none, or a feature is not a list of one kind of value.
    """
    target: Any = message.example_list
    if "context" in document:
        target = message.example_list_with_context
        # An empty context is one too.
        target.context.SetInParent()
        _fill_example(document["context"], target.context)
    if "examples" not in document:
        raise invalid_argument(
            f"JSON Value: {quote(document)} When method is classify, key 'examples' is expected "
            "and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid_argument(
            f"JSON Value: {quote(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise invalid_argument(f"JSON Value: {quote(document)} 'examples' value is an empty array")
    for example in examples:
        _fill_example(example, target.examples.add())


def _fill_example(value: Any, example: example_pb2.Example) -> None:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {type_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[name]
        for entry in content if isinstance(content, list) else [content]:
            _add_value(entry, name, feature)


def _add_value(value: Any, name: str, feature: feature_pb2.Feature) -> None:
    if value is None or isinstance(value, list) or (isinstance(value, dict) and not is_base64(value)):
        raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")
    kind = feature.WhichOneof("kind")
    if isinstance(value, int):
        expected = "int64_list"
    elif isinstance(value, float):
        expected = "float_list"
    else:
        expected = "bytes_list"
    if kind not in (None, expected):
        raise invalid_argument(
            f"Unexpected element type in feature: {name} expecting type: {_KINDS[str(kind)]}"
        )
    if isinstance(value, int):
        if value >= 2**63:
            raise invalid_argument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        feature.int64_list.value.append(int(value))
    elif isinstance(value, float):
        if np.isfinite(value) and abs(value) > MAX_FLOAT:
            raise invalid_argument(
                f"Cannot convert JSON value: {quote(value)} to float without loss of precision."
            )
        feature.float_list.value.append(value)
    else:
        feature.bytes_list.value.append(read_bytes(value))


def write_classifications(result: classification_pb2.ClassificationResult) -> str:
    """Writes a list of label and score pairs for each example.

    Raises:
        StatusError: When there is none.
    """
    if not result.classifications:
        raise _empty("Classification")
    rows = []
    for classifications in result.classifications:
        scores = _write_floats([entry.score for entry in classifications.classes])
        labels = [write_string(entry.label.encode()) for entry in classifications.classes]
        rows.append(write_array(write_array(pair) for pair in zip(labels, scores, strict=True)))
    return write_object([("results", f"{write_array(rows).removesuffix(']')}\n    ]")], depth=0)


def write_regressions(result: regression_pb2.RegressionResult) -> str:
    """Writes a number for each example.

    Raises:
        StatusError: When there is none.
    """
    if not result.regressions:
        raise _empty("Regression")
    values = _write_floats([regression.value for regression in result.regressions])
    return write_object([("results", write_array(values))], depth=0)


def _write_floats(values: list[float]) -> list[str]:
    return write_decimals(np.array(values, dtype=np.float32))


def _empty(kind: str) -> StatusError:
    return invalid_argument(f"Cannot convert empty {kind}Results to JSON")
