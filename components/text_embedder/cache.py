"""Vectors kept from run to run, found by a hash of the text and the encoder."""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

_KEY_CHARS = 32


def encoder_fingerprint(encoder: str, pooling: str) -> str:
    """A name that changes when the encoder's weights or its pooling do."""
    digest = hashlib.sha256(pooling.encode())
    if tf.io.gfile.isdir(encoder):
        for name in sorted(tf.io.gfile.listdir(encoder)):
            if name.endswith((".safetensors", ".h5", "config.json")):
                with tf.io.gfile.GFile(os.path.join(encoder, name), "rb") as file:
                    digest.update(file.read())
    else:
        digest.update(encoder.encode())
    return digest.hexdigest()[:16]


def text_keys(tokens: np.ndarray) -> np.ndarray:
    """The key of each text: bytes ``[num_texts]`` of int ``[num_texts, length]`` tokens, padding left out."""
    rows = np.ascontiguousarray(tokens, np.int32)
    keys = [hashlib.sha256(row[row != 0].tobytes()).hexdigest()[:_KEY_CHARS] for row in rows]
    return np.array(keys, f"S{_KEY_CHARS}")


class VectorCache:
    """A folder of immutable shards; a new one appears whole or not at all.

    Args:
        folder: Where, on any filesystem; made when the first shard is written.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def keys(self) -> np.ndarray:
        """The keys of all vectors, sorted, as `text_keys` makes them; the vectors are not read."""
        found = [np.zeros(0, f"S{_KEY_CHARS}")]
        for path in self._paths():
            with tf.io.gfile.GFile(path, "rb") as file, np.load(file) as shard:
                found.append(shard["keys"])
        return np.unique(np.concatenate(found))

    def shards(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One shard after another: its keys ``[n]`` and its vectors, float32 ``[n, dim]``."""
        for path in self._paths():
            with tf.io.gfile.GFile(path, "rb") as file, np.load(file) as shard:
                yield shard["keys"], shard["vectors"]

    def add(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        """Writes a shard named by its content, so that a repeated write changes nothing.

        Args:
            keys: ``[n]``, from `text_keys`.
            vectors: float32 ``[n, dim]``.
        """
        tf.io.gfile.makedirs(self._folder)
        path = os.path.join(self._folder, hashlib.sha256(keys.tobytes()).hexdigest()[:24])
        buffer = io.BytesIO()
        np.savez(buffer, keys=keys, vectors=vectors)
        # Several runs may share the cache, and come upon the same texts at the same time.
        part = f"{path}-{uuid.uuid4().hex}.part"
        with tf.io.gfile.GFile(part, "wb") as file:
            file.write(buffer.getvalue())
        tf.io.gfile.rename(part, path + ".npz", overwrite=True)

    def _paths(self) -> list[str]:
        return sorted(tf.io.gfile.glob(os.path.join(self._folder, "*.npz")))
