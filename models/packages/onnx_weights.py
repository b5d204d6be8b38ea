"""Weights out of an ONNX file: a BERT that was quantised to eight bits, as Hugging Face names its parts.

Of an ONNX model only what holds weights is read, so no ONNX package is needed. The file's `MatMulInteger`
nodes are called after the layers whose matrices they multiply with; embeddings, biases and norms are called
as Hugging Face calls them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.packages.wire import Value, fields, varint

# Numbers of fields in onnx.proto, and of the types of tensors.
_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_NODE_INPUT, _NODE_NAME, _NODE_OP = 1, 3, 4
_DIMS, _TYPE, _FLOATS, _INTS, _NAME, _RAW = 1, 2, 4, 5, 8, 9
_DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8}
_PRODUCT = "MatMulInteger"
_PRODUCT_ENDING = "/MatMul_quant"
_PARTS = ("quantized", "scale", "zero_point")


def read_bert(path: Path) -> dict[str, np.ndarray]:
    """Reads the weights of a BERT that was quantised after training.

    A weight is ``(quantised - zero point) * scale``, with a scale and a zero point for the whole matrix or
    for each column.

    Args:
        path: The ONNX file.

    Returns:
        float32 arrays by Hugging Face's names, matrices as PyTorch has them, ``[outputs, inputs]``.

    Raises:
        ValueError: If the file is cut off, or holds no quantised matrices.
    """
    graph = next((value for number, value in fields(memoryview(path.read_bytes())) if number == _GRAPH), b"")
    tensors = dict(_tensors(_message(graph)))
    weights = {}
    for name, value in tensors.items():
        if not name.startswith(("embeddings.", "encoder.")):
            continue
        if name.endswith("_quantized"):
            stem = name.removesuffix("_quantized")
            weights[stem] = _dequantised(stem, tensors)
        elif not name.endswith(("_scale", "_zero_point")):
            weights[name] = value
    products = list(_products(_message(graph)))
    if not products:
        raise ValueError(f"The file must hold {_PRODUCT} nodes. Got none in {path}.")
    for layer, operand in products:
        if f"{layer}.bias" in weights:
            stem = operand.removesuffix("_quantized")
            weights[f"{layer}.weight"] = np.ascontiguousarray(_dequantised(stem, tensors).T)
    return weights


def _dequantised(stem: str, tensors: dict[str, np.ndarray]) -> np.ndarray:
    quantised, scale, zero = (tensors[f"{stem}_{part}"] for part in _PARTS)
    return (quantised.astype(np.float32) - zero.astype(np.float32)) * scale


def _products(graph: memoryview) -> Iterator[tuple[str, str]]:
    """The layer of each integer product, and the name of its matrix."""
    for number, node in fields(graph):
        if number != _NODE:
            continue
        inputs, name, op = [], "", ""
        for part, value in fields(_message(node)):
            if part == _NODE_INPUT:
                inputs.append(_text(value))
            elif part == _NODE_NAME:
                name = _text(value)
            elif part == _NODE_OP:
                op = _text(value)
        if op == _PRODUCT and name.endswith(_PRODUCT_ENDING):
            yield name.removesuffix(_PRODUCT_ENDING).strip("/").replace("/", "."), inputs[1]


def _tensors(graph: memoryview) -> Iterator[tuple[str, np.ndarray]]:
    for number, tensor in fields(graph):
        if number == _INITIALIZER:
            found = _tensor(_message(tensor))
            if found is not None:
                yield found


def _tensor(tensor: memoryview) -> tuple[str, np.ndarray] | None:
    """Name and values; ``None`` for a tensor of a type that no weight has."""
    shape: list[int] = []
    content: Value | bytes | None = None
    dtype, name = 0, ""
    for number, value in fields(tensor):
        if number == _DIMS:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif number == _TYPE and isinstance(value, int):
            dtype = value
        elif number == _NAME:
            name = _text(value)
        elif number == _RAW:
            content = value
        elif number in (_FLOATS, _INTS):
            # A single number may stand outside the raw bytes.
            content = value if number == _FLOATS else bytes(_packed(_message(value)))
    if dtype not in _DTYPES or content is None:
        return None
    return name, np.frombuffer(_message(content), _DTYPES[dtype]).reshape(shape)


def _packed(numbers: memoryview) -> list[int]:
    found, place = [], 0
    while place < len(numbers):
        value, place = varint(numbers, place)
        found.append(value)
    return found


def _message(value: Value | bytes) -> memoryview:
    if isinstance(value, int):
        raise ValueError(f"A message must be bytes. Got the number {value}.")
    return memoryview(value)


def _text(value: Value) -> str:
    return bytes(_message(value)).decode()
