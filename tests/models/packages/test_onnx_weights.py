from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.packages.onnx_weights import read_bert
from models.packages.wire import field

_FLOAT, _UINT8, _INT8, _INT64 = 1, 2, 3, 7


def tensor(name: str, kind: int, values: np.ndarray) -> bytes:
    dims = b"".join(field(1, size) for size in values.shape)
    return field(5, dims + field(2, kind) + field(8, name.encode()) + field(9, values.tobytes()))


def node(op: str, name: str, *inputs: str) -> bytes:
    named = b"".join(field(1, text.encode()) for text in inputs)
    return field(1, named + field(3, name.encode()) + field(4, op.encode()))


def write(path: Path, *parts: bytes) -> Path:
    # What a model has before its graph is passed over: a number, a text, and 32 and 64 bits.
    path.write_bytes(field(1, 300) + field(2, b"maker") + field(3, 1.5) + field(7, b"".join(parts)))
    return path


def test_weights_are_the_quantised_numbers_scaled(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    matrix = random.integers(-128, 128, (3, 2), np.int8)
    scale, zero = np.array([0.5, 0.25], np.float32), np.array([0, 3], np.int8)
    words = random.integers(0, 256, (5, 3), np.uint8)
    bias = np.array([1.0, -2.0], np.float32)
    path = write(
        tmp_path / "model.onnx",
        tensor("encoder.layer.0.output.dense.bias", _FLOAT, bias),
        tensor("m_quantized", _INT8, matrix),
        tensor("m_scale", _FLOAT, scale),
        tensor("m_zero_point", _INT8, zero),
        tensor("embeddings.word_embeddings.weight_quantized", _UINT8, words),
        tensor("embeddings.word_embeddings.weight_scale", _FLOAT, np.array(0.125, np.float32)),
        tensor("embeddings.word_embeddings.weight_zero_point", _UINT8, np.array(7, np.uint8)),
        tensor("shape", _INT64, np.array([1, 2])),
        node("Add", "/encoder/layer.0/output/dense/Add", "x", "encoder.layer.0.output.dense.bias"),
        node(
            "MatMulInteger",
            "/encoder/layer.0/output/dense/MatMul_quant",
            "x",
            "m_quantized",
            "",
            "m_zero_point",
        ),
        # Of attention, whose product has no matrix.
        node("MatMulInteger", "/encoder/layer.0/attention/self/MatMul_quant", "x", "y", "", ""),
    )

    weights = read_bert(path)

    assert sorted(weights) == [
        "embeddings.word_embeddings.weight",
        "encoder.layer.0.output.dense.bias",
        "encoder.layer.0.output.dense.weight",
    ]
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}
    expected = [[(float(matrix[i, j]) - zero[j]) * scale[j] for i in range(3)] for j in range(2)]
    np.testing.assert_array_equal(weights["encoder.layer.0.output.dense.weight"], expected)
    np.testing.assert_array_equal(
        weights["embeddings.word_embeddings.weight"], (words.astype(float) - 7) * 0.125
    )
    np.testing.assert_array_equal(weights["encoder.layer.0.output.dense.bias"], bias)


def test_file_without_products_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold MatMulInteger nodes"):
        read_bert(write(tmp_path / "model.onnx", tensor("embeddings.x", _FLOAT, np.zeros(2, np.float32))))


def test_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", tensor("embeddings.x", _FLOAT, np.zeros(200, np.float32)))
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(ValueError, match="must end within its message"):
        read_bert(path)
