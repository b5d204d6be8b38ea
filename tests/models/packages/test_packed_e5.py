from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from models.packages.packed_e5 import read_packed

DIM, INNER, ROWS, POSITIONS = 32, 64, 7, 5
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "茶", "▁tea", "<mask>"]
SCORES = np.array([0, 0, 0, 0, -2.5, -1.25, 0], np.float32)


def packed(matrix: np.ndarray, scales: np.ndarray) -> bytes:
    """Blocks of whole numbers from -8 to 7, each number by itself."""
    blocks = []
    for block, scale in zip(matrix.reshape(-1, 32), scales, strict=True):
        pairs = [int(block[i] + 8) | int(block[i + 16] + 8) << 4 for i in range(16)]
        blocks.append(struct.pack("<e", scale) + bytes(pairs))
    return b"".join(blocks)


def tensors() -> dict[str, tuple[int, bytes, np.ndarray]]:
    """Of each tensor its kind, its content, and the values that it stands for."""
    random = np.random.default_rng(1)

    def blocks(*shape: int) -> tuple[int, bytes, np.ndarray]:
        numbers = random.integers(-8, 8, shape)
        scales = random.normal(size=numbers.size // 32).astype(np.float16)
        values = numbers * np.repeat(scales.astype(np.float32), 32).reshape(shape)
        return 1, packed(numbers, scales), values

    def floats(*shape: int) -> tuple[int, bytes, np.ndarray]:
        values = random.normal(size=shape).astype(np.float32)
        return 0, values.tobytes(), values

    found = {"emb.word": blocks(ROWS, DIM), "emb.pos": floats(POSITIONS, DIM), "emb.type": floats(2, DIM)}
    shapes = dict.fromkeys(("q", "k", "v", "ao"), (DIM, DIM)) | {"fi": (INNER, DIM), "fo": (DIM, INNER)}
    for name, shape in shapes.items():
        found |= {f"l0.{name}.w": blocks(*shape), f"l0.{name}.b": floats(shape[0])}
    for name in ("emb.ln", "l0.aln", "l0.oln"):
        found |= {f"{name}.w": floats(DIM), f"{name}.b": floats(DIM)}
    return found


def write(path: Path, *, magic: bytes = b"E5S1") -> dict[str, np.ndarray]:
    letters = [piece.encode() for piece in PIECES]
    ends = np.cumsum([0, *map(len, letters)]).astype("<u4")
    head = magic + struct.pack("<I7ifi", 1, DIM, 1, 2, INNER, ROWS, POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(ends[-1])) + ends.tobytes() + SCORES.tobytes()
    # A map of one character to one other.
    head += b"".join(letters) + struct.pack("<iI", 1, 9) + struct.pack("<IBI", 65, 1, 97)
    found = tensors()
    place = len(head) + 4 + sum(2 + len(name) + 21 for name in found)
    directory, content = struct.pack("<i", len(found)), b""
    for name, (kind, values, array) in found.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, array.size, place + len(content), len(values))
        content += values
    path.write_bytes(head + directory + content)
    return {name: array for name, (_, _, array) in found.items()}


def test_numbers_of_four_bits_are_scaled_by_their_block(tmp_path: Path) -> None:
    expected = write(tmp_path / "model.bin")

    found = read_packed(tmp_path / "model.bin")

    layer = "encoder.layer.0."
    names = {
        "emb.word": "embeddings.word_embeddings.weight",
        "emb.pos": "embeddings.position_embeddings.weight",
        "emb.type": "embeddings.token_type_embeddings.weight",
        "emb.ln.b": "embeddings.LayerNorm.bias",
        "l0.k.w": f"{layer}attention.self.key.weight",
        "l0.ao.b": f"{layer}attention.output.dense.bias",
        "l0.fi.w": f"{layer}intermediate.dense.weight",
        "l0.fo.w": f"{layer}output.dense.weight",
        "l0.aln.w": f"{layer}attention.output.LayerNorm.weight",
        "l0.oln.b": f"{layer}output.LayerNorm.bias",
    }
    for mine, theirs in names.items():
        np.testing.assert_array_equal(found.weights[theirs], expected[mine].astype(np.float32), err_msg=mine)
    assert len(found.weights) == len(expected)
    assert {weight.dtype for weight in found.weights.values()} == {np.dtype(np.float32)}


def test_pieces_and_sizes_are_read(tmp_path: Path) -> None:
    write(tmp_path / "model.bin")

    found = read_packed(tmp_path / "model.bin")

    assert found.pieces == PIECES
    np.testing.assert_array_equal(found.scores, SCORES)
    assert found.config == {
        "hidden_size": DIM,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": INNER,
        "vocab_size": ROWS,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "model.bin", magic=b"E5S9")

    with pytest.raises(ValueError, match="must begin with b'E5S1'"):
        read_packed(tmp_path / "model.bin")
