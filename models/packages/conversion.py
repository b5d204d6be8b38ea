"""The conversion of weights, as packages have them, into a Hugging Face folder that keras-hub reads."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from dataset.errors import DataError
from models.encoder_usage import EncoderUsage
from models.packages.onnx_weights import read_bert
from models.packages.packed_e5 import read_packed
from models.packages.piece_model import SPECIAL, piece_model
from models.pretrained import MULTILINGUAL_ENCODER, PIECES_FILE

WEIGHTS_FILE = "model.safetensors"
_WORDS = "embeddings.word_embeddings.weight"
_E5_USAGE = EncoderUsage(query_prefix="query: ", text_prefix="passage: ")
_BGE_USAGE = EncoderUsage(
    pooling="cls", query_prefix="Represent this sentence for searching relevant passages: "
)


def convert(name: str, source: Path, folder: Path, *, digest: str) -> None:
    """Writes an encoder's folder.

    Args:
        name: The encoder's, one of those that are converted.
        source: What the package has of it.
        folder: Where to; it must not exist.
        digest: What `digest_of` the weights must be.

    Raises:
        DataError: If other weights came of it than when this was written.
    """
    folder.mkdir()
    weights = _CONVERSIONS[name](source, folder)
    found = digest_of(weights)
    if found != digest:
        raise DataError(
            f"The converted weights of {name} must have the digest {digest}. Got {found}; "
            "name a local folder as model.encoder to do without."
        )
    # Hugging Face's own reader asks for the framework that wrote them.
    path = folder / WEIGHTS_FILE
    save_file(weights, str(path), metadata={"format": "pt"})
    # It writes for its user alone, but an image is run by another one than built it.
    path.chmod(0o644)


def digest_of(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, shapes and values, whatever file they are in."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name], "<f4").data)
    return digest.hexdigest()


def _bge_small(source: Path, folder: Path) -> dict[str, np.ndarray]:
    """BGE's, from eight bits."""
    for name in ("config.json", "vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(source / name, folder / name)
    _BGE_USAGE.save(folder)
    return _with_pooler(read_bert(source / "model.onnx"))


def _e5_small(source: Path, folder: Path) -> dict[str, np.ndarray]:
    """E5's, from four bits; the embeddings are in the order of the pieces of our model file."""
    packed = read_packed(source / "e5-small-q4.bin")
    # The file's order is that of XLM-R: <s>, <pad>, </s>, <unk>, pieces, <mask>, and rows of nothing.
    last = len(packed.pieces) - 1
    model = piece_model(packed.pieces[len(SPECIAL) : last], packed.scores[len(SPECIAL) : last].tolist())
    (folder / PIECES_FILE).write_bytes(model)
    order = [packed.pieces.index(piece) for piece in SPECIAL] + list(range(len(SPECIAL), last))
    weights = packed.weights | {_WORDS: packed.weights[_WORDS][order]}
    config = packed.config | {"vocab_size": last, "model_type": "bert", "hidden_act": "gelu"}
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    _E5_USAGE.save(folder)
    return _with_pooler(weights)


def _with_pooler(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights and zeros for BERT's own pooler, which keras-hub asks for and nothing uses."""
    dim = weights["embeddings.LayerNorm.weight"].shape[0]
    return weights | {
        "pooler.dense.weight": np.zeros((dim, dim), np.float32),
        "pooler.dense.bias": np.zeros(dim, np.float32),
    }


_CONVERSIONS: dict[str, Callable[[Path, Path], dict[str, np.ndarray]]] = {
    "bge-small": _bge_small,
    MULTILINGUAL_ENCODER: _e5_small,
}
